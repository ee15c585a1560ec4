"""When the store took no reports, as this process saw it: for a while after, silence proves nothing."""

from __future__ import annotations

from typing import Final

from celery_health.conf import Settings
from celery_health.records import Outage

#: Until a process tries again whose report was refused, at most: `MAX_BACKOFF_SECONDS` of the agent.
BACKOFF_SECONDS: Final = 5.0
#: A report may be this share of HEARTBEAT_INTERVAL late.
SPREAD: Final = 0.2
#: Between two looks that see one outage, not two.
PAUSE_SECONDS: Final = 60.0


class Outages:
    """Remembers the last one. Times are monotonic seconds."""

    def __init__(self, settings: Settings) -> None:
        """Take how often processes report."""
        longest = settings.heartbeat_interval * (1 + SPREAD) + settings.flush_interval
        self._longest = longest
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
            # The last report before it, and the reading before that one which saw it.
            began_seconds=now - self._began + 2 * self._longest,
            ended_seconds=ended,
            is_recent=ended <= self._catching_up_seconds,
        )
