"""Fetches what a reading of the store left for later, since it would hold the Redis for too long at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from celery_health.connections.scripts import Script
from celery_health.deadline import Deadline
from celery_health.store.keys import Keys
from celery_health.store.readings import Reply, Skipped, count_of, stamps_of
from celery_health.store.scripts import COUNTS, ROWS

#: What one call reads, and the reading itself of each: a millisecond or two. Records are some kilobytes.
MAX_RECORDS: Final = 100
RECORD_BYTES: Final = 200_000
MAX_FIELDS: Final = 3_000

#: Runs a script on keys and arguments within a deadline; raises a `StoreError`.
_Run = Callable[[Script, tuple[str, ...], tuple[str | bytes | int, ...], Deadline], Any]


class StartedOver(Exception):
    """All totals started again from zero while they were read."""


def completed(run: _Run, keys: Keys, reply: Reply, deadline: Deadline, *, careful: bool) -> Reply:
    """Return `reply` with all that was wanted. Nothing in it is older than the time it names.

    A record may be younger than its stamps: the next reading fetches it again. Of counts some may have grown
    since others were read, and each is at least what it was: they only grow.

    Raises:
        StartedOver: counts before and after it do not belong together.
        StoreError: the store did not answer in time, or refused.
    """
    changed = (
        {**reply.changed, **_records(run, keys, reply.later, deadline)} if reply.later else reply.changed
    )
    ring, totals, consumed = list(reply.ring), reply.totals, reply.consumed
    if reply.consumed_later:
        consumed = stamps_of(b"", _counts(run, keys, keys.consumed, reply, deadline, careful))
    for minute in reply.later_minutes:
        text = _counts(run, keys, f"{keys.ring}{minute}", reply, deadline, careful)
        ring.append((minute, text.decode("utf-8", "replace")))
    if reply.totals_later:
        totals = _counts(run, keys, keys.totals, reply, deadline, careful).decode("utf-8", "replace")
    return replace(reply, changed=changed, ring=ring, totals=totals, consumed=consumed)


def _records(run: _Run, keys: Keys, processes: list[str], deadline: Deadline) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(processes):
        step = processes[at : at + MAX_RECORDS]
        fields = (process.encode("utf-8", "surrogateescape") for process in step)
        _, _, *values = run(ROWS, (keys.records,), (RECORD_BYTES, *fields), deadline)
        if not values:
            break  # a key of another type, which the reading has noted
        for process, value in zip(step, values[0], strict=False):
            if value is not None and b"\n" not in value:
                found[process] = value.decode("utf-8", "replace")
        at += len(values[0])
    return found


def _counts(run: _Run, keys: Keys, key: str, reply: Reply, deadline: Deadline, careful: bool) -> bytes:
    return counts_in_steps(run, keys, key, reply.epoch, reply.skipped, deadline, careful, MAX_FIELDS)


def counts_in_steps(
    run: _Run, keys: Keys, key: str, epoch: int, out: Skipped, deadline: Deadline, careful: bool, most: int
) -> bytes:
    """Return the counts of one hash, field and amount in turn, about so many at once at `most`.

    Of those that are left out `out` counts how many.

    Raises:
        StartedOver: the totals are not of `epoch` any more.
        StoreError: the store did not answer in time, or refused.
    """
    texts: list[bytes] = []
    cursor: bytes | str = "0"
    while not texts or cursor != b"0":
        held, cursor, text, left_out = run(COUNTS, (key, keys.totals), (cursor, most, int(careful)), deadline)
        if (count_of(held) or 0) != epoch:
            raise StartedOver
        texts.append(text)
        if left_out:
            out.add(key, left_out)
    return b"\n".join(filter(None, texts))
