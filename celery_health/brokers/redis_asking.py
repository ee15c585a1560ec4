"""What is asked of a Redis broker, and what comes back: what a reading needs, in calls of a few ms.

Redis serves nobody else while a script runs. What raises here is what the link raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from redis.exceptions import NoPermissionError, ResponseError

from celery_health.brokers.base import LongUnacked, UnackedMessage
from celery_health.brokers.unacked import Bindings, UnackedCount, count_unacked, queue_of
from celery_health.connections.redis import RedisLink
from celery_health.connections.redis_keys import BoundQueue, RedisKeys
from celery_health.connections.scripts import Script, load
from celery_health.deadline import Deadline

#: Over so many unacknowledged messages, or bytes of them, they are not told apart by queue.
MAX_UNACKED_ENTRIES: Final = 1000
MAX_UNACKED_BYTES: Final = 4 * 1024 * 1024
#: The same over so many bytes of one of them: it takes Redis some 3 ms to show its end.
MAX_UNACKED_ENTRY_BYTES: Final = 1024 * 1024
#: So much of them is read in one call.
UNACKED_BYTES_AT_ONCE: Final = 512 * 1024
#: An entry ends in its exchange and routing key.
_ENTRY_END: Final = 1024
#: So many names are sent, however few of them were looked at in the call before.
MANY_QUEUES: Final = 250
#: What one call of the script may do, in units of some half a microsecond: half of the 5 ms that Redis may
#: be held, since servers are slower than where this was measured. The length of an empty queue of four
#: priority steps is two units.
WORK_AT_ONCE: Final = 3600
#: How long is waited for a write that the server kept waiting before.
PAUSED_SECONDS: Final = 0.5
_READ_QUEUES: Final = load(__package__, "read_queues")
_READ_UNACKED: Final = load(__package__, "read_unacked")
#: What Redis says when scripts are renamed or unknown; denials by ACL have a class of their own.
_NO_SCRIPTING: Final = "unknown command"


class Head(NamedTuple):
    """The message that is next out of one priority step."""

    size_bytes: int
    task_id: str | None
    published_at: float | None
    has_eta: bool


class Asked:
    """The server within one deadline, and how kombu names things on it."""

    def __init__(self, link: RedisLink, keys: RedisKeys, deadline: Deadline) -> None:
        self.keys = keys
        self.deadline = deadline
        self._link = link

    def call(self, *command: str | int) -> Any:
        """Return the reply to one command."""
        return self._link.call(*command, deadline=self.deadline)

    def run(self, script: Script, arguments: Sequence[str | bytes | int], keys: Sequence[str] = ()) -> Any:
        """Return what a script says."""
        return self._link.run(script, keys, arguments, deadline=self.deadline)

    def run_with(
        self, script: Script, arguments: Sequence[str | bytes | int], others: Sequence[tuple[str, ...]]
    ) -> tuple[Any, list[Any]]:
        """Return what a script says, and the reply to each other command, an error where that is one."""
        return self._link.run_with(script, arguments, others, self.deadline)

    def call_many(self, commands: Sequence[tuple[str, ...]], last_seconds: float | None = None) -> list[Any]:
        """Return the reply to each command, an error where the server said no.

        `last_seconds`: so long is waited for the last, which need not be answered: a TimeoutError then.
        """
        return self._link.call_many(commands, deadline=self.deadline, last_seconds=last_seconds)


@dataclass(kw_only=True, slots=True)
class Fetched:
    """What came back, by the numbers of the queues, from 1."""

    clock: Sequence[Any] = ()
    queues: int = 0
    """How many were read, or given up."""
    lengths: dict[int, int] = field(default_factory=dict)
    """Of those that are not empty; -1 where it could not be read."""
    errors: dict[int, str] = field(default_factory=dict)
    heads: dict[int, list[Head]] = field(default_factory=dict)
    unacked: UnackedCount | None = None
    long_unacked: LongUnacked | None = None
    besides: Sequence[Any] = ()
    """The replies to what was asked besides."""

    def add(self, queues: int, lengths: list[int], errors: list[Any], heads: list[Any]) -> None:
        """Take in what the script says of the queues that follow."""
        before = self.queues
        for i in range(0, len(lengths), 2):
            self.lengths[before + lengths[i]] = lengths[i + 1]
        for i in range(0, len(errors), 2):
            self.errors[before + errors[i]] = _text(errors[i + 1])
        for i in range(0, len(heads), 5):
            self.heads.setdefault(before + heads[i], []).append(_head(*heads[i + 1 : i + 5]))
        self.queues += queues

    def leave_out(self, count: int, why: str) -> None:
        """Say of so many queues that they could not be read."""
        for number in range(self.queues + 1, self.queues + count + 1):
            self.lengths[number], self.errors[number] = -1, why
        self.queues += count


def fetch(
    redis: Asked,
    queues: list[str],
    skip: list[int],
    long_seconds: float,
    besides: Sequence[tuple[str, ...]] = (),
) -> Fetched:
    """Read `queues`.

    Args:
        redis: the server.
        queues: their names.
        skip: the numbers, from 1, of those whose heads are not wanted.
        long_seconds: what was taken longer ago and is not acknowledged is looked at one by one.
        besides: commands that are sent behind the first, in the same round trip.
    """
    try:
        return _fetch_by_script(redis, queues, skip, long_seconds, besides)
    except NoPermissionError:
        return _fetch_without_script(redis, queues, besides)
    except ResponseError as error:
        if _NO_SCRIPTING in str(error):
            return _fetch_without_script(redis, queues, besides)
        raise


def _fetch_by_script(
    redis: Asked,
    queues: list[str],
    skip: list[int],
    long_seconds: float,
    besides: Sequence[tuple[str, ...]],
) -> Fetched:
    at_most = at_once = max(1, 2 * WORK_AT_ONCE // len(redis.keys.suffixes))
    asked = _asked(redis, queues[:at_once], skip, long_seconds)
    (clock, read, lengths, errors, heads, *unacked, long_count, long), replies = redis.run_with(
        _READ_QUEUES, asked, besides
    )
    bound = Bindings(lambda exchange: bindings(redis, exchange))
    fetched = Fetched(
        clock=clock,
        unacked=_count_unacked(redis, bound, *unacked),
        long_unacked=_long_unacked(bound, long_seconds, long_count, long),
        besides=replies,
    )
    fetched.add(read, lengths, errors, heads)
    while (done := fetched.queues) < len(queues):
        # What is full takes more calls than what is empty: few names are sent that will not be looked at.
        at_once = min(at_most, max(MANY_QUEUES, 4 * read))
        wanted = queues[done : done + at_once]
        unwanted = [number - done for number in skip if 0 < number - done <= at_once]
        try:
            asked = _asked(redis, wanted, unwanted, long_seconds, unacked_entries=0)
            _, read, lengths, errors, heads, *_ = redis.run(_READ_QUEUES, asked)
        except Exception:
            if not redis.deadline.expired:
                raise
            fetched.leave_out(len(queues) - done, f"Not read within {redis.deadline.budget_seconds:.3g} s.")
            break
        fetched.add(read, lengths, errors, heads)
    return fetched


def _asked(
    redis: Asked,
    queues: list[str],
    skip: list[int],
    long_seconds: float,
    unacked_entries: int = MAX_UNACKED_ENTRIES,
) -> list[str | int]:
    """Return the arguments of the script that reads queues."""
    keys = redis.keys
    # One text of a thousand names is packed in a tenth of the time that a thousand texts take.
    lines = "".join([f"{name}\n" for name in queues])
    in_lines = lines.count("\n") == len(queues)
    counts = [unacked_entries, WORK_AT_ONCE, len(keys.suffixes), len(skip), len(queues), int(in_lines)]
    index: list[str | int] = [keys.unacked_index, repr(long_seconds)]
    arguments: list[str | int] = [keys.prefix, keys.unacked, *counts, *index, *keys.suffixes, *skip]
    return [*arguments, *([lines] if in_lines else queues)]


def _count_unacked(
    redis: Asked, bound: Bindings, unacked: int, entries: list[bytes], parts: list[Any]
) -> UnackedCount | None:
    """Count `entries`, or those that `parts` names; None if these are too large altogether."""
    tags, sizes = parts[::2], parts[1::2]
    too_large = sum(sizes) > MAX_UNACKED_BYTES or max(sizes, default=0) > MAX_UNACKED_ENTRY_BYTES
    if too_large or (unacked != 0 and not (entries or parts)):
        return None
    try:
        for some in _in_parts(tags, sizes):
            entries += redis.run(_READ_UNACKED, [_ENTRY_END, *some], [redis.keys.unacked])
    except ResponseError:  # this user may not
        return None
    return count_unacked(map(_text, entries), bound)


def _long_unacked(bound: Bindings, seconds: float, total: int, entries: list[bytes]) -> LongUnacked | None:
    """Return what the script says of entries that are old; None where it could not look."""
    if total < 0:
        return None
    messages = tuple(
        UnackedMessage(tag=_text(tag), queue=queue_of(_text(end), bound), taken_at=float(taken_at))
        for tag, taken_at, end in zip(entries[::3], entries[1::3], entries[2::3], strict=True)
    )
    return LongUnacked(seconds=seconds, total=total, messages=messages)


def _in_parts(tags: Sequence[bytes], sizes: Sequence[int]) -> Iterator[list[bytes]]:
    """Yield `tags` in lists of which each can be read in one call."""
    part: list[bytes] = []
    room = UNACKED_BYTES_AT_ONCE
    for tag, size in zip(tags, sizes, strict=True):
        if part and size > room:
            yield part
            part, room = [], UNACKED_BYTES_AT_ONCE
        part.append(tag)
        room -= size
    if part:
        yield part


def fetch_paused(redis: Asked, queues: list[str], besides: Sequence[tuple[str, ...]]) -> Fetched:
    """Read `queues` of a server that last held back what may write: scripts, and the last of `besides`."""
    return _fetch_without_script(redis, queues, besides, min(PAUSED_SECONDS, redis.deadline.remaining() / 2))


def _fetch_without_script(
    redis: Asked, queues: list[str], besides: Sequence[tuple[str, ...]], last_seconds: float | None = None
) -> Fetched:
    """Read lengths by a plain pipeline; ages stay unknown, since a message could be of any size."""
    lists = [key for name in queues for key in redis.keys.lists(name)]
    commands = [("TIME",), *(("LLEN", key) for key in lists), *besides]
    clock, *replies = redis.call_many(commands, last_seconds)
    fetched = Fetched(
        clock=() if isinstance(clock, Exception) else clock, queues=len(queues), besides=replies[len(lists) :]
    )
    steps = len(redis.keys.suffixes)
    for number in range(1, len(queues) + 1):
        parts = replies[(number - 1) * steps : number * steps]
        failures = [part for part in parts if isinstance(part, Exception)]
        fetched.lengths[number] = -1 if failures else sum(parts)
        if failures:
            fetched.errors[number] = str(failures[0])
    return fetched


def bindings(redis: Asked, exchange: str) -> list[BoundQueue]:
    """Return what is bound to an exchange."""
    return redis.keys.bound(redis.call("SMEMBERS", redis.keys.bindings(exchange)))


def _head(size_bytes: int, task_id: bytes, stamp: bytes, eta: bytes) -> Head:
    try:
        published_at = float(stamp) if stamp else None
    except ValueError:  # somebody else's header of this name
        published_at = None
    return Head(size_bytes, _text(task_id) or None, published_at, bool(eta))


def _text(value: Any) -> str:
    # A server may hold any bytes under any name; what is no text must not fail the reading.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
