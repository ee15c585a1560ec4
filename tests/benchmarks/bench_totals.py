"""Counting one outcome in the worker's main process."""

from __future__ import annotations

from celery_health.reporting.totals import Totals
from tests.benchmarks.base import Figure, in_turns


class _Nothing:
    def fact(self, seconds: float = 0.0) -> None:
        pass


def bench_outcome() -> Figure:
    totals, nothing = Totals(), _Nothing()

    def ours() -> None:
        series = totals.series("shop.tasks.charge", "celery")
        series.received()
        series.started()
        series.queue_wait(0.0123)
        series.succeeded()
        series.runtime(0.4)

    def floor() -> None:
        nothing.fact()
        nothing.fact()
        nothing.fact(0.0123)
        nothing.fact()
        nothing.fact(0.4)

    return in_turns(
        "counting one outcome / five empty calls",
        ours,
        floor,
        target=2e-6,
        target_is_seconds=True,
        rounds=1_000,
        calls=200,
    )
