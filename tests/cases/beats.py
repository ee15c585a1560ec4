"""Beats that start again and again, by hand."""

from __future__ import annotations

from typing import Any, Final

from celery_health.records import Beat, BeatState
from celery_health.testing import make_beat, make_entry

HOUR: Final = 3600.0


def lives(
    *starts: float, interval: float = HOUR, unsent: float | None, scheduler: str | None = None, **changes: Any
) -> list[Beat]:
    """Return beats that started so many seconds ago, each with a new schedule file; the last one lives."""
    beats = []
    for index, started in enumerate(sorted(starts, reverse=True)):
        name, is_last = f"celerybeat@a-{index}", index == len(starts) - 1
        # By its own account: since it started, or sent it.
        left = changes.get("next_due_in_seconds", interval - min(started, unsent or started))
        entry: dict[str, Any] = {
            "beat": name,
            "schedule": f"every {interval:g} s",
            "interval_seconds": interval,
            "next_due_in_seconds": left,
            "entry": "often",
            "task": "shop.clean",
            "overdue_seconds": 0.0 if is_last else max(0.0, -left),
            "last_sent_at": None,
            "last_sent_seconds": None,
            "unsent_seconds": unsent,
        }
        beats.append(
            make_beat(
                name,
                state=BeatState.OK if is_last else BeatState.STOPPED,
                uptime_seconds=started,
                last_seen_seconds=1.0 if is_last else max(0.0, started - 60),
                last_sent_seconds=None,
                scheduler=scheduler,
                entries=(make_entry(**{**entry, **changes}),),
            )
        )
    return beats
