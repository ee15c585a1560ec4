"""The overview of 200 workers and 1,000 queues is small, whatever is wrong with them; and quick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client

from celery_health.page.runs import queues_of
from celery_health.reading.task_totals import TaskTotals
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot
from tests.api.conftest import PREFIX, Celery
from tests.page.large import STATES, Large

MOST_BYTES = 60_000


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_overview__of_a_large_system_is_small(
    staff: Client, celery: Celery, state: Callable[[], Large]
) -> None:
    found = state()
    celery.snapshot, celery.hour, celery.totals = found.snapshot, found.hour, found.totals

    page = staff.get(PREFIX)

    print(f"\n  {len(page.content):,} bytes, {page.content.count(b'<tr')} rows")
    assert page.status_code == 200
    assert len(page.content) <= MOST_BYTES


def test_queues_of__each_reading_has_its_own() -> None:
    entry = make_entry("nightly", task="pay", queue="night")
    first = make_snapshot(queues=[make_queue("a", expected_by=("task:pay", "settings"))])
    second = make_snapshot(
        queues=[make_queue("b", expected_by=("task:pay",))], beats=[make_beat(entries=(entry,))]
    )
    totals = TaskTotals(sent_to=frozenset({"c"}), taken_from=frozenset({"d"}))

    assert queues_of("pay", first, None) == ["a"]
    assert queues_of("pay", second, None) == ["b", "night"]
    assert queues_of("pay", replace(second), totals) == ["b", "c", "d", "night"]
    assert queues_of("other", first, None) == []
