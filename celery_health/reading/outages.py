"""When the store took no reports, as this process saw it: for a while after, silence proves nothing."""

from __future__ import annotations

from typing import Final

from celery_health.conf import Settings
from celery_health.records import Outage

#: Until a process tries again whose report was refused, at most: `MAX_BACKOFF_SECONDS` of the agent.
BACKOFF_SECONDS: Final = 5.0
#: How often the store is asked whether it takes writes, while somebody seems to live.
ASKED_SECONDS: Final = 15.0
#: A report may be this share of HEARTBEAT_INTERVAL late.
SPREAD: Final = 0.2
#: Between two looks that see one outage, not two.
PAUSE_SECONDS: Final = 60.0


class Outages:
    """Remembers the last one. Times are monotonic seconds."""

    def __init__(self, settings: Settings) -> None:
        """Take how often processes report, and when the store is asked for the silence of all."""
        longest = settings.heartbeat_interval * (1 + SPREAD) + settings.flush_interval
        self._unseen_seconds = min(ASKED_SECONDS, settings.limits.worker_lost_seconds) + 2 * longest
        self._catching_up_seconds = max(BACKOFF_SECONDS + settings.flush_interval, longest) + longest
        self._began: float | None = None
        self._ended = float("-inf")

    def note(self, now: float, *, is_one: bool) -> None:
        """Take over whether the store takes no reports now."""
        if not is_one:
            return
        if self._began is None or now - self._ended > PAUSE_SECONDS:
            self._began = now
        self._ended = now

    def last(self, now: float) -> Outage | None:
        """Return the last outage, which is over."""
        if self._began is None:
            return None
        ended = now - self._ended
        return Outage(
            began_seconds=now - self._began + self._unseen_seconds,
            ended_seconds=ended,
            is_recent=ended <= self._catching_up_seconds,
        )
