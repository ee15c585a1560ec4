"""What the totals of the store say of each task."""

from __future__ import annotations

import pytest

from celery_health.reading.task_totals import quantile, totals_by_task


def test_quantile__is_linear_within_its_bucket() -> None:
    # 5 ms, 10 ms, 25 ms, ...: a hundred runs between 10 and 25 ms.
    buckets = [0, 0, 100, *[0] * 16]

    assert quantile(buckets, 0.5) == pytest.approx(0.0175)
    assert quantile([0] * 19, 0.5) is None
    # Past the last edge nobody knows how long: five hours are no hour.
    assert quantile([*[0] * 18, 1], 0.99) is None
    assert quantile([1, *[0] * 17, 1], 0.5) == pytest.approx(0.005)


def test_totals_by_task__sums_queues_and_exceptions() -> None:
    totals = {
        "succeeded\x1ft\x1fa": 2,
        "succeeded\x1ft\x1fb": 3,
        "failed\x1ft\x1fa\x1fValueError": 1,
        "failed\x1ft\x1fa\x1fKeyError": 1,
        "started\x1ft\x1fa": 7,
        "runtime\x1ft\x1fa\x1e2": 100,
        "runtime\x1ft\x1fa\x1esum": 123456,
        "from_a_newer_version\x1ft": 9,
    }
    task = totals_by_task(totals)["t"]

    assert (task.started, task.succeeded, task.failed, task.retried) == (7, 5, 2, 0)
    assert task.runtime is not None
    assert task.runtime.samples == 100
