"""What one process remembers of each queue from reading to reading. The time is given, not asked for."""

from __future__ import annotations

from dataclasses import dataclass

from celery_health.brokers.base import QueueReading


@dataclass(kw_only=True, slots=True)
class _Watched:
    """Since when, by the given clock, something has been so; None while it is not."""

    nonempty_since: float | None = None
    unconsumed_since: float | None = None
    oldest_id: str | None = None
    oldest_since: float | None = None


class QueueWatch:
    """Remembers since when queues hold messages, lack consumers, and have the same message at their head."""

    def __init__(self) -> None:
        self._queues: dict[str, _Watched] = {}

    def note(self, reading: QueueReading, *, is_consumed: bool | None, now: float) -> None:
        """Take in one reading, at `now` seconds on any clock that does not go back."""
        seen = self._queues.setdefault(reading.name, _Watched())
        if reading.ready is not None:
            seen.nonempty_since = (seen.nonempty_since or now) if reading.ready else None
        if is_consumed is not None:
            seen.unconsumed_since = None if is_consumed else (seen.unconsumed_since or now)
        if reading.oldest_message_id is None or reading.oldest_message_id != seen.oldest_id:
            seen.oldest_id = reading.oldest_message_id
            seen.oldest_since = None if reading.oldest_message_id is None else now

    def keep(self, names: set[str]) -> None:
        """Forget every queue but `names`."""
        self._queues = {name: seen for name, seen in self._queues.items() if name in names}

    def nonempty_seconds(self, name: str, now: float) -> float | None:
        """Return how long the queue was seen to hold messages; None while it holds none."""
        return self._since(name, "nonempty_since", now)

    def unconsumed_seconds(self, name: str, now: float) -> float | None:
        """Return how long it was seen without a consumer; None while it has one, or nobody could say."""
        return self._since(name, "unconsumed_since", now)

    def oldest_seconds(self, name: str, now: float) -> float | None:
        """Return how long the same message was seen next in line; None when there is none."""
        return self._since(name, "oldest_since", now)

    def _since(self, name: str, what: str, now: float) -> float | None:
        seen = self._queues.get(name)
        since: float | None = None if seen is None else getattr(seen, what)
        return None if since is None else now - since
