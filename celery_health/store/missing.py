"""What missing.lua takes and answers: the runs that processes which fell silent named as running."""

from __future__ import annotations

from typing import Any

from celery_health.store import keys as limits
from celery_health.store.base import MissingRuns, Publication
from celery_health.store.keys import Keys


def arguments(own: Publication, keys: Keys) -> tuple[str | bytes | int, ...]:
    """Return what missing.lua takes; little for whoever does not ask."""
    asked = own.missing
    if asked is None or own.kind != "worker" or own.record is None:
        return ("",)
    bounds = (limits.MISSING_SECONDS, limits.MAX_MISSING, limits.MISSING_PAUSE_SECONDS)
    return (keys.missing, repr(asked.silent_seconds), *bounds, asked.known)


def answered(answer: Any) -> MissingRuns | None:
    """Return what it says; None where nothing was asked, or nothing changed."""
    if not answer:
        return None
    change, ids = answer
    return MissingRuns(
        change=change.decode("ascii", "replace"), ids=frozenset(one.decode("utf-8", "replace") for one in ids)
    )
