"""Reads the minutes of the ring that a reader does not have yet, in steps that hold the Redis for little."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from celery_health.connections.scripts import Script
from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store import parts, skipped
from celery_health.store.base import MinuteCounts, MinutesReading
from celery_health.store.keys import Keys
from celery_health.store.readings import Skipped, left_out, other_type, ring_of
from celery_health.store.scripts import MINUTES

#: Minutes that are read, the present one included.
MINUTES_WANTED: Final = 60
#: Counts that one call reads: a millisecond, on a busy server some more.
STEP_FIELDS: Final = 1_500
#: After so many bytes a reading ends, and the next goes on: an hour of 100 tasks is less than 1 MB.
MAX_BYTES: Final = 4_000_000
#: A minute counts as over once the next is over, too: the store's clock may be put back a little.
_MARGIN: Final = 2

#: Runs a script on keys and arguments within a deadline; raises a `StoreError`.
_Run = Callable[[Script, tuple[str, ...], tuple[str | bytes | int, ...], Deadline], Any]


@dataclass(kw_only=True)
class _Found:
    """What the steps have brought so far, all of one epoch."""

    epoch: bytes
    had: frozenset[int]
    """Minutes that the caller has."""
    read: set[int] = field(default_factory=set)
    """Those that came, readable or not."""
    now: float = 0.0
    minutes: dict[int, MinuteCounts] = field(default_factory=dict)
    length: int = 0
    """Bytes of counts that came."""
    problems: dict[str, None] = field(default_factory=dict)


def read_minutes(
    run: _Run, keys: Keys, epoch: int, known: Collection[int], deadline: Deadline, *, careful: bool
) -> MinutesReading:
    """Return the minutes that are not `known`; see `Store.minutes`.

    Raises:
        StoreError: not even the first step succeeded.
        ValueError: a count is none; not with `careful`, which has each looked at.
    """
    found = _Found(epoch=str(epoch or "").encode(), had=frozenset(known))
    are_left = True
    while are_left and found.length < MAX_BYTES and not (found.now and deadline.expired):
        try:
            are_left = _step(run, keys, found, deadline, careful=careful)
        except StoreError:
            if not found.now:
                raise
            break
    present = int(found.now // 60)
    wanted = range(present - MINUTES_WANTED + 1, present + 1)
    return MinutesReading(
        server_time=found.now,
        epoch=int(found.epoch or 0),
        minutes=found.minutes,
        unread=frozenset(wanted) - found.had - found.minutes.keys(),
        problems=tuple(found.problems),
    )


def _step(run: _Run, keys: Keys, found: _Found, deadline: Deadline, *, careful: bool) -> bool:
    """Read what fits into one call, and the minutes that are too large for one; say whether more is left."""
    arguments: tuple[str | bytes | int, ...] = (
        keys.ring, keys.exceptions, MINUTES_WANTED, STEP_FIELDS, int(careful), found.epoch,
        *sorted(found.had | found.read),
    )  # fmt: skip
    seconds, micros, epoch, minutes, large, are_left, odd = run(MINUTES, (keys.totals,), arguments, deadline)
    if epoch != found.epoch:  # the script took none for known, and what came before is of another epoch
        found.epoch, found.had = epoch, frozenset()
        for what in (found.read, found.minutes, found.problems):
            what.clear()
    found.now = int(seconds) + int(micros) / 1e6
    out = Skipped()
    for key, amount in odd:
        out.add(key.decode("utf-8", "replace"), int(amount))
    for minute, *texts in minutes:
        _keep(keys, found, int(minute), texts, out, careful=careful)
    for minute in map(int, large):
        if found.length >= MAX_BYTES:
            break
        both = (f"{keys.ring}{minute}", f"{keys.exceptions}{minute}")
        try:
            texts = [
                parts.counts_in_steps(run, keys, key, int(epoch or 0), out, deadline, careful, STEP_FIELDS)
                for key in both
            ]
        except parts.StartedOver:
            return True  # the next step meets the other epoch
        _keep(keys, found, minute, texts, out, careful=careful)
    return bool(are_left)


def _keep(
    keys: Keys, found: _Found, minute: int, texts: Sequence[bytes | None], out: Skipped, *, careful: bool
) -> None:
    """Take over one minute: its counts and its exceptions, None for a key of another type."""
    both = (f"{keys.ring}{minute}", f"{keys.exceptions}{minute}")
    counts: list[Mapping[tuple[str, str], int]] = []
    problems = []
    for key, text in zip(both, texts, strict=True):
        counts.append({} if text is None else _counts(text, key, out, careful=careful))
        found.length += len(text or b"")
        if text is None:
            skipped.count("store.ring")
            problems.append(other_type(key))
        elif amount := out.entries.get(key):
            skipped.count("store.ring", amount)
            problems.append(left_out(key, amount))
    found.problems.update(dict.fromkeys(problems))
    if texts[0] is not None:
        found.minutes[minute] = MinuteCounts(
            outcomes=counts[0],
            exceptions=counts[1],
            is_final=not problems and minute <= found.now // 60 - _MARGIN,
        )
    found.read.add(minute)


def _counts(text: bytes, key: str, out: Skipped, *, careful: bool) -> Mapping[tuple[str, str], int]:
    """Return the counts of a minute.

    Raises:
        ValueError: one of them is none.
    """
    counts = ring_of([("0", text.decode("utf-8", "replace"))]).get(0, {})
    below = [name for name, count in counts.items() if count < 0]
    if below and not careful:
        raise ValueError("counts below 0")
    if below:
        out.add(key, len(below))
        counts = {name: count for name, count in counts.items() if count >= 0}
    return counts
