"""What a worker holds and could run now: how many tasks of each queue, and how long the oldest has waited.

Due is what has been given to the pool and was not begun, and what waits for an ETA that has passed, also
while Celery still has it among its timers. What runs is not, nor what waits for its rate limit: that cannot
run now, by choice.

What is due is so by this host's clock, as Celery has it; how long it has been is by the store's clock, which
those that send stamp with as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from celery_health.headers import PUBLISHED_AT_HEADER

#: Of all that is due, how many are asked when they were published: of more, the oldest is at least so old.
#: Each costs a microsecond, for its headers lie anywhere in memory.
MAX_ASKED: Final = 2_000
#: How far ahead a stamp may be before it proves that a clock is off.
SLACK_SECONDS: Final = 2.0


class Due:
    """The due tasks of one queue, as they are counted."""

    __slots__ = ("_ahead", "_asked", "_least", "_most", "_since", "count", "eta_count")

    def __init__(self, most: int, ahead: float = 0.0) -> None:
        self.count = 0
        self.eta_count = 0
        """Of these, those that had an ETA."""
        self._most = most
        self._ahead = ahead
        """Seconds by which the store's clock is ahead of this host's."""
        self._asked = 0
        self._since: float | None = None
        """Unix seconds by this host's clock: when the oldest that was asked was published, or its ETA was."""
        self._least = False
        """Another may be older."""

    def add(self, requests: Iterable[Any], wall_time: float) -> None:
        """Count tasks without an ETA, or with one that has passed by `wall_time`."""
        for request in requests:
            eta = request.eta
            if eta is not None:
                began = eta.timestamp()
                if began > wall_time:
                    continue
                self.eta_count += 1
            self.count += 1
            if self._asked < self._most:
                self._asked += 1
                self._ask(request, None if eta is None else began, wall_time)

    def _ask(self, request: Any, eta: float | None, wall_time: float) -> None:
        since = request.request_dict.get(PUBLISHED_AT_HEADER)
        if eta is not None and (since.__class__ is not float or not since > eta):
            # Else it had passed when it was sent, or whoever sent it has a clock that is behind.
            since = eta
        # A redelivered one may have run before, and that was no waiting. Nothing is over NaN.
        if since.__class__ is not float or not since > 0.0 or request.delivery_info.get("redelivered"):
            self._least = True
            since = _first_seen(request, wall_time)
        else:
            since -= self._ahead
            if since > wall_time + SLACK_SECONDS:
                # By a clock of which nobody knows.
                self._least = True
                since = _first_seen(request, wall_time)
        if self._since is None or since < self._since:
            self._since = since

    def row(self, wall_time: float) -> dict[str, Any]:
        """Return the counts, and how many seconds the oldest has waited, as the record has them."""
        return {
            "count": self.count,
            "eta_count": self.eta_count,
            "oldest_seconds": None if self._since is None else round(max(0.0, wall_time - self._since), 3),
            "oldest_is_minimum": self._least or self._asked < self.count,
        }


def due_rows(
    groups: Sequence[tuple[str, Iterable[Any]]], wall_time: float, ahead: float = 0.0
) -> Mapping[str, dict[str, Any]]:
    """Return queue → what of it is due, of groups of requests that wait, each of one queue.

    Args:
        groups: queue and requests.
        wall_time: Unix seconds, by this host's clock.
        ahead: seconds by which the store's clock is ahead of it.
    """
    most = max(20, MAX_ASKED // len(groups)) if groups else 0
    found: dict[str, Due] = {}
    for queue, requests in groups:
        found.setdefault(queue, Due(most, ahead)).add(requests, wall_time)
    return {queue: due.row(wall_time) for queue, due in found.items() if due.count}


def _first_seen(request: Any, wall_time: float) -> float:
    """Return when this was first called for a request: it came here before that."""
    message = request.message
    seen: float | None = getattr(message, "celery_health_seen_at", None)
    if seen is None:
        message.celery_health_seen_at = seen = wall_time
    return seen
