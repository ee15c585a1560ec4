"""What one process remembers of each queue from reading to reading. The time is given, not asked for."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from celery_health.brokers.base import QueueReading

#: How long messages that were seen to be taken say that somebody consumes the queue.
DRAINED_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What is remembered of one queue, at one moment."""

    consumed_ago: float = inf
    """Seconds since it was seen to be consumed by others than those whom the store knows; infinite: never."""
    unconsumed_seconds: float = 0.0
    """How long it was watched without a consumer. Of a time without readings only a part counts."""
    is_drained: bool = False
    """Messages were taken from it lately, more than once, while nobody was known to consume it."""
    uncounted_seconds: float = 0.0
    """How long the broker has counted no consumer; 0 where it does not count."""


#: Whether a queue drains is told by how much waited so long ago, at least and at most.
TREND_SECONDS = (20.0, 90.0)
#: Between two that are remembered of that.
_TREND_STEP_SECONDS = 10.0


#: Of a queue that was never seen.
NOTHING = Watched()


@dataclass(kw_only=True, slots=True)
class _Memory:
    """Moments by the given clock; None for what was not seen."""

    nonempty_since: float | None = None
    bare_at: float | None = None
    """When it was last seen without a consumer, if nobody was seen since."""
    bare_seconds: float = 0.0
    consumed_at: float | None = None
    has_consumer: bool = False
    """Somebody was known to consume it at the last reading."""
    drained_at: tuple[float, ...] = ()
    """When messages were last seen to be taken by nobody that was known, twice at most."""
    uncounted_since: float | None = None
    ready: int | None = None
    oldest_id: str | None = None
    oldest_since: float | None = None
    oldest_stamp: float | None = None
    empty_at: float | None = None
    """When nothing was ready last."""
    empty_since: float | None = None
    """Since when each reading found nothing ready."""
    is_held_known: bool = False
    """Workers say how many of it they hold."""
    idle_at: float | None = None
    """When nothing waited last, in workers either, by what they said later."""
    waiting: tuple[tuple[float, int], ...] = ()
    """When how many waited, in the broker and in workers, the latest last."""


class QueueWatch:
    """Remembers since when queues hold messages, lack consumers, and have the same message at their head."""

    def __init__(self) -> None:
        self._queues: dict[str, _Memory] = {}

    def note(self, reading: QueueReading, now: float) -> None:
        """Take in what the broker says of one queue, at `now` seconds on any clock that does not go back."""
        seen = self._queues.setdefault(reading.name, _Memory())
        if reading.ready != 0:
            seen.empty_since = None
        if reading.ready is not None:
            if not seen.has_consumer and _was_taken_from(seen, reading):
                seen.drained_at = (*seen.drained_at[-1:], now)
            seen.ready = reading.ready
            stamp = None if reading.oldest_has_eta else reading.oldest_published_at
            if stamp != seen.oldest_stamp:
                # A run that is tried again has its id anew.
                seen.oldest_stamp, seen.oldest_id = stamp, None
            if not reading.ready:
                seen.empty_at = now
                seen.empty_since = now if seen.empty_since is None else seen.empty_since
            seen.nonempty_since = (
                (now if seen.nonempty_since is None else seen.nonempty_since) if reading.ready else None
            )
        if reading.consumers != 0:
            seen.uncounted_since = None
        elif seen.uncounted_since is None:
            seen.uncounted_since = now
        if reading.oldest_message_id is None or reading.oldest_message_id != seen.oldest_id:
            seen.oldest_id = reading.oldest_message_id
            seen.oldest_since = None if reading.oldest_message_id is None else now

    def watched(self, name: str, now: float, *, most_gap_seconds: float = inf) -> Watched:
        """Return what is remembered of a queue.

        Args:
            name: of the queue.
            now: as for `note`.
            most_gap_seconds: how much of a time without readings counts as watched: between two of them
                that saw no consumer there may have been one.
        """
        seen = self._queues.get(name)
        if seen is None:
            return NOTHING
        bare = seen.bare_seconds
        if seen.bare_at is not None:
            bare += min(now - seen.bare_at, most_gap_seconds)
        return Watched(
            consumed_ago=inf if seen.consumed_at is None else now - seen.consumed_at,
            unconsumed_seconds=bare,
            # Once proves little: somebody may have moved or removed a message.
            is_drained=len(seen.drained_at) == 2 and now - seen.drained_at[0] < DRAINED_SECONDS,
            uncounted_seconds=0.0 if seen.uncounted_since is None else now - seen.uncounted_since,
        )

    def note_consumption(
        self,
        name: str,
        *,
        is_consumed: bool | None,
        is_by_name: bool = False,
        is_by_store: bool = False,
        now: float,
        most_gap_seconds: float = inf,
    ) -> None:
        """Take in whether somebody consumes a queue.

        Args:
            name: of the queue.
            is_consumed: None when that is not known, which changes nothing.
            is_by_name: it is known who does, or how many: then that messages are taken says nothing more.
            is_by_store: all who do keep records: the store knows better since when they do not.
            now: as for `note`.
            most_gap_seconds: as for `watched`.
        """
        seen = self._queues.setdefault(name, _Memory())
        seen.has_consumer = is_by_name
        if is_consumed:
            seen.bare_at, seen.bare_seconds = None, 0.0
            if not is_by_store:
                seen.consumed_at = now
        elif is_consumed is False:
            if seen.bare_at is not None:
                seen.bare_seconds += min(now - seen.bare_at, most_gap_seconds)
            seen.bare_at = now

    def waiting_before(self, name: str, waiting: int | None, now: float) -> tuple[float, int] | None:
        """Take in how many wait in all; return how long ago how many did, None where that is not known."""
        seen = self._queues.setdefault(name, _Memory())
        least, most = TREND_SECONDS
        known = tuple(one for one in seen.waiting if now - one[0] <= most)
        if waiting and (not known or now - known[-1][0] >= _TREND_STEP_SECONDS):
            known = (*known, (now, waiting))
        seen.waiting = known if waiting else ()
        # The latest that is old enough: an older one may have been before the turn.
        before = next(((now - at, many) for at, many in reversed(seen.waiting) if now - at >= least), None)
        return before

    def note_empty(self, name: str, at: float) -> None:
        """Take in that nothing was ready in a queue at `at`."""
        seen = self._queues.setdefault(name, _Memory())
        seen.empty_at = at if seen.empty_at is None else max(seen.empty_at, at)

    def note_held(self, name: str, held: int | None) -> None:
        """Take in how many messages of a queue workers hold; None where they do not say."""
        self._queues.setdefault(name, _Memory()).is_held_known = held is not None

    def note_idle(self, name: str, at: float | None) -> None:
        """Take in that no worker held any message of a queue at `at` or later, by what it said then.

        What is ready is of one moment, what is held of an earlier one: between them workers may have taken
        all. Nothing waited only where nothing was ready before they said so.
        """
        seen = self._queues.setdefault(name, _Memory())
        if at is None or not seen.is_held_known or seen.empty_since is None or seen.empty_since > at:
            return
        seen.idle_at = at if seen.idle_at is None else max(seen.idle_at, at)

    def most_seconds(self, name: str, now: float, *, is_held: bool = False) -> float | None:
        """Return how long what is ready can have waited: since nothing did; None where nobody saw that.

        Of what workers hold with `is_held`. What they held may be ready again: it counts as long as they say.
        """
        seen = self._queues.get(name)
        if seen is None:
            return None
        at = seen.idle_at if is_held or seen.is_held_known else seen.empty_at
        return None if at is None else now - at

    def keep(self, names: set[str]) -> None:
        """Forget every queue but `names`."""
        self._queues = {name: seen for name, seen in self._queues.items() if name in names}

    def nonempty_seconds(self, name: str, now: float) -> float | None:
        """Return how long the queue was seen to hold messages; None while it holds none."""
        seen = self._queues.get(name)
        return None if seen is None or seen.nonempty_since is None else now - seen.nonempty_since

    def oldest_seconds(self, name: str, now: float) -> float | None:
        """Return how long the same message was seen next in line; None when there is none."""
        seen = self._queues.get(name)
        return None if seen is None or seen.oldest_since is None else now - seen.oldest_since


def _was_taken_from(seen: _Memory, reading: QueueReading) -> bool:
    """Say whether messages left the queue since the last reading: fewer wait, or as many and newer ones."""
    if seen.ready is None or reading.ready is None:
        return False
    before, after = seen.oldest_stamp, None if reading.oldest_has_eta else reading.oldest_published_at
    is_newer = before is not None and after is not None and after > before
    return reading.ready < seen.ready or (reading.ready == seen.ready and is_newer)
