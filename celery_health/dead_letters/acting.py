"""Act upon dead letters on somebody's behalf, and log who did: what the surfaces call."""

from __future__ import annotations

from typing import Any

from celery_health.dead_letters import letters
from celery_health.dead_letters.audit import PURGE, REQUEUE, audited
from celery_health.dead_letters.records import Requeued


def requeue(who: str, queue: str, ids: list[str] | None, **chosen: Any) -> Requeued:
    """Send letters again, and log it: `letters.requeue` says what is `chosen`. A dry run is not logged."""
    if chosen.get("dry_run"):
        return letters.requeue(queue, ids, **chosen)
    with audited(REQUEUE, queue, who) as audit:
        done = letters.requeue(queue, ids, **chosen)
        audit.count = done.requeued
    return done


def purge(who: str, queue: str) -> int:
    """Remove all letters of `queue` for good, log it, and return how many there were: `letters.purge`."""
    with audited(PURGE, queue, who) as audit:
        count = audit.count = letters.purge(queue)
    return count
