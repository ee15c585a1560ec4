"""Act upon dead letters on somebody's behalf, and log who did: what the surfaces call."""

from __future__ import annotations

from typing import Any

from celery_health.dead_letters import aside, letters
from celery_health.dead_letters.audit import PURGE, REQUEUE, SET_ASIDE, audited
from celery_health.dead_letters.records import Requeued, SetAside


def requeue(who: str, queue: str, ids: list[str] | None, **chosen: Any) -> Requeued:
    """Send letters again, and log it: `letters.requeue` says what is `chosen`. A dry run is not logged."""
    if chosen.get("dry_run"):
        return letters.requeue(queue, ids, **chosen)
    with audited(REQUEUE, queue, who) as audit:
        done = letters.requeue(queue, ids, **chosen)
        audit.count = done.requeued
    return done


def set_aside(who: str, queue: str, *, dry_run: bool = False) -> SetAside:
    """Move what no worker can read into the dead letters, and log it: `aside.set_aside`. A dry run is not."""
    if dry_run:
        return aside.set_aside(queue, dry_run=True)
    with audited(SET_ASIDE, queue, who) as audit:
        done = aside.set_aside(queue)
        audit.count = len(done.messages)
    return done


def purge(who: str, queue: str) -> int:
    """Remove all letters of `queue` for good, log it, and return how many there were: `letters.purge`."""
    with audited(PURGE, queue, who) as audit:
        count = audit.count = letters.purge(queue)
    return count
