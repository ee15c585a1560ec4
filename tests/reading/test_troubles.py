"""What processes could not write, as one reading of the store tells it."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.reading.troubles import refused_of, stored_results_of
from celery_health.store.base import StoredRecord, StoreReading

NOW = 6_000_000.0
MINUTE = int(NOW // 60)
ERROR = {"task": "a", "exception": "Boom", "error": "no", "seconds": 2.0}


def reading(*troubles: StoredRecord, ring: dict[int, Any] | None = None, **changes: Any) -> StoreReading:
    minutes = {MINUTE + offset: counts for offset, counts in (ring or {}).items()}
    return StoreReading(server_time=NOW, epoch=1, version=1, troubles=troubles, ring=minutes, **changes)


def told(age: float = 1.0, writer: str = "w", **record: Any) -> StoredRecord:
    return StoredRecord(
        name=writer, writer=writer, age_seconds=age, record={"pid": 7, "host": "web-1", **record}
    )


def test_refused__are_summed_over_minutes() -> None:
    ring = {-3: {("a", "refused"): 2, ("a", "sent"): 9}, 0: {("a", "refused"): 1, ("b", "refused"): 4}}
    assert refused_of(reading(ring=ring), 600).tasks == {"a": 3, "b": 4}


def test_refused__the_last_error_is_the_youngest_and_not_too_old() -> None:
    old, young = {**ERROR, "error": "old", "seconds": 700.0}, {**ERROR, "error": "young", "seconds": 30.0}
    found = refused_of(reading(told(refused=old), told(writer="x", refused=young)), 600).last
    assert found is not None
    assert (found.text, found.age_seconds) == ("young", 31.0)
    assert refused_of(reading(told(refused=old)), 600).last is None


@pytest.mark.parametrize(
    ("quiet", "age", "counts"),
    [
        (0.0, 1.0, True),
        # It has published nothing for a minute, and would not have heard that it is over.
        (61.0, 1.0, False),
        # Its report stays away: it may have ended.
        (0.0, 25.0, False),
    ],
)
def test_blocked__only_while_the_process_would_hear_that_it_is_over(
    quiet: float, age: float, counts: bool
) -> None:
    one = told(age, blocked={"seconds": 90.0, "quiet_seconds": quiet})
    found = refused_of(reading(one), 600).blocked
    assert [(found.process, found.seconds) for found in found] == (
        [("process 7 on web-1", 90.0 + age)] if counts else []
    )


def test_blocked__a_worker_has_its_name() -> None:
    worker = StoredRecord(name="w1@a", writer="w", age_seconds=1.0, record={})
    one = reading(told(blocked={"seconds": 3.0, "quiet_seconds": 0.0}), workers=(worker,))
    assert [found.process for found in refused_of(one, 600).blocked] == ["w1@a"]


def test_hanging__grows_with_the_age_of_its_report() -> None:
    one = told(2.0, hanging={"count": 3, "seconds": 8.0, "tasks": ["a"]})
    [found] = refused_of(reading(one), 600).hanging
    assert (found.count, found.seconds, found.tasks) == (3, 10.0, ("a",))


@pytest.mark.parametrize(
    "row", [None, 3, "text", [], {"seconds": "x"}, {"seconds": float("nan"), "error": 1}]
)
def test_odd_records__are_left_out(row: object) -> None:
    one = reading(told(refused=row, unstored=row, blocked=row, hanging=row))
    found = refused_of(one, 600)
    assert (found.last, found.blocked, found.hanging) == (None, (), ())
    assert stored_results_of(one, 600, ignoring=()).last is None


FAILED, STORED, BOTH = (
    {("a", "unstored"): 2},
    {("a", "succeeded"): 5},
    {("a", "unstored"): 1, ("a", "succeeded"): 1},
)


@pytest.mark.parametrize(
    ("ring", "is_over"),
    [
        ({-1: FAILED}, False),
        ({-1: STORED, 0: FAILED}, False),
        # Of one minute nobody knows which came last.
        ({0: BOTH}, False),
        ({-1: FAILED, 0: STORED}, True),
        # Others' results are not stored, so that they end proves nothing.
        ({-1: FAILED, 0: {("b", "succeeded"): 9}}, False),
        ({0: STORED}, False),
    ],
)
def test_results__are_over_when_others_were_stored_since(ring: dict[int, Any], is_over: bool) -> None:
    assert stored_results_of(reading(ring=ring), 600, ignoring={"b"}).is_over is is_over


def test_results__old_successes_count_only_while_errors_would_show() -> None:
    ring = {-8: STORED, -1: STORED}
    assert stored_results_of(reading(ring=ring), 600, ignoring=()).stored == 10
    assert stored_results_of(reading(ring=ring), 600, ignoring=(), within_seconds=180).stored == 5
    assert stored_results_of(reading(ring=ring), 600, ignoring=None).stored == 0


def test_elsewhere__is_told_of_each_process_and_app_and_not_when_it_is_old() -> None:
    row = {"app": "default", "broker": "amqp://h//", "sent": 2, "failed": 1, "tasks": ["pay"], "seconds": 3.0}
    others = [
        {**row, "seconds": 700.0},  # long ago
        {**row, "sent": "2"},  # nobody's number
        {**row, "sent": 0, "failed": 0},
        "no row",
    ]
    (found,) = refused_of(reading(told(elsewhere=[{**row, "is_default": True}, *others])), 600).elsewhere
    assert (found.process, found.app, found.broker) == ("process 7 on web-1", "default", "amqp://h//")
    assert (found.count, found.failed, found.tasks, found.age_seconds) == (3, 1, ("pay",), 4.0)
    assert (found.is_default, found.is_unset) == (True, False)
    assert refused_of(reading(told(elsewhere={"app": "x"})), 600).elsewhere == ()
