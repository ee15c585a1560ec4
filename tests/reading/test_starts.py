"""What is known of the starts under one name: of the store's list, and the records of its processes."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.conf import Limits
from celery_health.reading.processes import shown
from celery_health.reading.starts import exit_of, with_starts
from celery_health.reading.worker_states import recorded_state
from celery_health.records import Exit, Starts
from celery_health.store import StoredRecord, StoreReading
from celery_health.store.base import StoredStart, StoredStarts
from celery_health.testing import make_worker

NOW = 1_000_000.0
LOST = 30.0


def start(writer: str, age: float, *, ready: bool = False, told: bool = False) -> StoredStart:
    return StoredStart(writer=writer, stamp=int((NOW - age) * 1e6), is_ready=ready, is_told=told)


def starts(*found: StoredStart, vain: int = 0, since: float = 0.0) -> StoredStarts:
    vain_since = int((NOW - since) * 1e6) if vain else 0
    return StoredStarts(starts=found, vain_count=vain, vain_since=vain_since, told_at=0)


def record(writer: str, age: float, *, first: float | None = None, **says: Any) -> StoredRecord:
    return StoredRecord(
        name="w@h", record=says, age_seconds=age, writer=writer + "0" * 8, first_age_seconds=first
    )


def ended(writer: str, age: float, cause: str = "OSError: no") -> StoredRecord:
    return record(writer, age, exit={"cause": cause, "at_start": True})


# What the store has, the records: how many started, became ready, ended untold; and the last one's word.
CASES = [
    # Restarted in order: nobody is missed.
    (
        starts(start("aaaaaaaa", 60, ready=True, told=True), start("bbbbbbbb", 50, ready=True)),
        [record("aaaaaaaa", 55, goodbye=True), record("bbbbbbbb", 1)],
        (2, 2, 0, None),
    ),
    # Killed, and started anew.
    (
        starts(start("aaaaaaaa", 60, ready=True), start("bbbbbbbb", 20, ready=True)),
        [record("aaaaaaaa", 31), record("bbbbbbbb", 1)],
        (2, 2, 1, None),
    ),
    # An error ended it a second ago; it was started again at once.
    (
        starts(start("aaaaaaaa", 20), start("bbbbbbbb", 1), vain=2, since=20),
        [ended("aaaaaaaa", 1), record("bbbbbbbb", 0.5, first=0.8)],
        (2, 0, 1, "OSError: no"),
    ),
    # The last one was killed: what ended the one before explains nothing.
    (
        starts(start("aaaaaaaa", 90), start("bbbbbbbb", 60), start("cccccccc", 5), vain=3, since=90),
        [ended("aaaaaaaa", 80), record("bbbbbbbb", 50), record("cccccccc", 1)],
        (3, 0, 2, None),
    ),
    # Killed four times within seconds: only the last may live.
    (
        starts(*(start(f"aaaaaaa{n}", 9 - 2 * n) for n in range(4)), vain=4, since=9),
        [record(f"aaaaaaa{n}", 8.5 - 2 * n, first=9 - 2 * n) for n in range(4)],
        (4, 0, 3, None),
    ),
    # Two at once under one name, by mistake: both live.
    (
        starts(start("aaaaaaaa", 60, ready=True), start("bbbbbbbb", 60, ready=True)),
        [record("aaaaaaaa", 1), record("bbbbbbbb", 1)],
        (2, 2, 0, None),
    ),
    # What was over an hour ago is over; its record may be gone too.
    (
        starts(start("aaaaaaaa", 3700), start("bbbbbbbb", 3500), start("cccccccc", 10), vain=9, since=9000),
        [record("cccccccc", 1)],
        (2, 0, 1, None),
    ),
    # SIGTERM, and killed while it drained: it was told.
    (
        starts(start("aaaaaaaa", 600, ready=True, told=True), start("bbbbbbbb", 50, ready=True)),
        [record("aaaaaaaa", 60, draining=True), record("bbbbbbbb", 1)],
        (2, 2, 0, None),
    ),
]


def shown_starts(records: list[StoredRecord], reading: StoreReading) -> Starts:
    workers = [
        make_worker(
            "w@h",
            writer=one.stored.writer,
            state=recorded_state(one.stored.record, one.stored.age_seconds, Limits()),
        )
        for one in shown(records, LOST)
    ]
    *others, last, other = with_starts([*workers, make_worker("x@h")], reading, Limits())
    assert {one.starts for one in (*others, other)} == {None}
    assert last.starts is not None
    return last.starts


OVER = [
    # Ready, and a moment old.
    ([start("bbbbbbbb", 5, ready=True)], 60, False),
    # Longer than a start may take, and than twice what the others lived.
    ([start("bbbbbbbb", 121, ready=True)], 60, True),
    # Each lived for ten minutes: half an hour says more.
    ([start("bbbbbbbb", 900, ready=True)], 600, False),
    ([start("bbbbbbbb", 1300, ready=True)], 600, True),
    # It lives, and is not ready.
    ([start("bbbbbbbb", 1300)], 60, False),
]


@pytest.mark.parametrize(("last", "life", "expected"), OVER)
def test_starts__are_over_once_one_has_lived(last: list[StoredStart], life: float, expected: bool) -> None:
    begun = (NOW - last[0].stamp / 1e6) + 5
    broken = [start(f"aaaaaaa{n}", begun + life * n) for n in (3, 2, 1)]
    reading = StoreReading(
        server_time=NOW,
        epoch=1,
        version=1,
        workers=(record("bbbbbbbb", 1),),
        starts={"w@h": starts(*broken, *last)},
    )
    assert shown_starts([record("bbbbbbbb", 1)], reading).is_over is expected


@pytest.mark.parametrize(("kept", "records", "expected"), CASES)
def test_starts__table(kept: StoredStarts, records: list[StoredRecord], expected: tuple[Any, ...]) -> None:
    reading = StoreReading(
        server_time=NOW, epoch=1, version=1, workers=tuple(records), starts={"w@h": kept, "gone@h": kept}
    )
    # As the workers of a reading are: those that were replaced are not among them.
    found = shown_starts(records, reading)
    cause = None if found.last_exit is None else found.last_exit.cause
    assert (found.count, found.ready_count, found.broken_count, cause) == expected
    assert found.vain_count == kept.vain_count


def test_starts__of_nobody_cost_nothing() -> None:
    workers = [make_worker()]
    assert with_starts(workers, StoreReading(server_time=NOW, epoch=1, version=1), Limits()) == tuple(workers)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, None),
        ("OSError", None),
        ({"cause": 3}, None),
        ({"cause": "OSError: no"}, Exit(cause="OSError: no", at_start=False)),
        ({"cause": "x" * 9999, "at_start": True}, Exit(cause="x" * 500, at_start=True)),
    ],
)
def test_exit__is_read_of_anything(told: object, expected: Exit | None) -> None:
    assert exit_of({"exit": told}) == expected
