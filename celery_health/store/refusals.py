"""Whether a store that answers reads would refuse writes, by its own word: nothing is tried."""

from __future__ import annotations

from typing import Final

from celery_health.connections import refusals

#: What is asked for, in one round trip; a user who may not ask is told nothing, which is no fault.
QUESTIONS: Final = refusals.QUESTIONS[:2]


def refusal(answers: list[object]) -> str | None:
    """Return why the server of these answers refuses writes, and what to do; None when it does not say so."""
    why = refusals.by_itself(refusals.told_of(answers))
    if why is None:
        return None
    if why.startswith("it is full"):
        return f"{why}. Raise maxmemory, or remove what fills it"
    return f"{why}. Set STORE_URL to the master, or to its sentinels"
