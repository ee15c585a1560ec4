"""Reads the tasks that workers hold, one by one: some kilobytes of each worker, and megabytes of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from celery_health.connections.scripts import Script
from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store import skipped
from celery_health.store.base import RowsReading, StoredRecord
from celery_health.store.keys import Keys
from celery_health.store.readings import age_of, left_out, other_type, record_of
from celery_health.store.scripts import ROWS

#: After so many bytes a step ends: it holds the Redis for a millisecond or two.
STEP_BYTES: Final = 1_000_000
#: In all; more would keep a process busy for seconds. 200 workers with 300 tasks each are some 12 MB.
MAX_BYTES: Final = 16_000_000
#: Workers that one step looks at, at most.
STEP_WORKERS: Final = 500

#: Runs a script on keys and arguments within a deadline; raises a `StoreError`.
_Run = Callable[[Script, tuple[str, ...], tuple[str | bytes | int, ...], Deadline], Any]


def read_rows(run: _Run, keys: Keys, processes: Iterable[tuple[str, str]], deadline: Deadline) -> RowsReading:
    """Return what the workers of `processes`, writer and name, hold; see `Store.rows`.

    Raises:
        StoreError: not even the first step succeeded.
    """
    wanted = list(processes)
    rows: list[StoredRecord] = []
    at, length, odd = 0, 0, 0
    while at < len(wanted) and length < MAX_BYTES and not (at and deadline.expired):
        step = wanted[at : at + STEP_WORKERS]
        fields = (f"{writer} {name}".encode("utf-8", "replace") for writer, name in step)
        try:
            seconds, micros, *found = run(ROWS, (keys.rows,), (STEP_BYTES, *fields), deadline)
        except StoreError:
            if at == 0:
                raise
            break
        if not found:
            skipped.count("store.rows")
            return RowsReading(problems=(other_type(keys.rows),))
        values = found[0]
        now = int(seconds) * 1_000_000 + int(micros)
        for (writer, name), value in zip(step, values, strict=False):
            if value is not None:
                length += len(value)
                stored = _stored(writer, name, value, now)
                odd += stored is None
                rows += () if stored is None else (stored,)
        at += len(values)
    if odd:
        skipped.count("store.rows", odd)
    return RowsReading(rows=tuple(rows), unread=tuple(wanted[at:]), problems=_problems(odd, keys.rows))


def _stored(writer: str, name: str, value: bytes, now: int) -> StoredRecord | None:
    """Return the rows of one worker; None where they are not as celery_health writes them."""
    stamp, _, text = value.decode("utf-8", "replace").partition(" ")
    age = age_of(stamp, now) if stamp.isascii() and stamp.isdigit() else None
    record = None if age is None else record_of(text)
    if age is None or record is None:
        return None
    return StoredRecord(name=name, record=record, age_seconds=age, writer=writer)


def _problems(odd: int, key: str) -> tuple[str, ...]:
    return (left_out(key, odd),) if odd else ()
