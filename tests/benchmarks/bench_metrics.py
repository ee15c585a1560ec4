"""A scrape beside the bare HGETALL of the same totals."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime
from typing import Any

from celery_health.deadline import Deadline
from celery_health.metrics.collector import CeleryHealthCollector
from celery_health.records import (
    AppFacts,
    BrokerState,
    HealthReport,
    InspectionState,
    Snapshot,
    Source,
    Status,
    StoreState,
    Worker,
    WorkerState,
)
from celery_health.reporting.totals import Totals
from celery_health.store import Publication
from tests.benchmarks.base import Figure, in_turns
from tests.benchmarks.bench_reader import WORKERS, record
from tests.benchmarks.stores import store_and_client


def _totals() -> dict[str, int]:
    totals, seconds = Totals(), random.Random(1)
    for number in range(100):
        series = totals.series(f"shop.tasks.number_{number}", "celery")
        for _ in range(100):
            series.received()
            series.started()
            series.succeeded()
            series.retried()
            series.failed("ValueError")
            series.runtime(seconds.lognormvariate(0, 3))
            series.queue_wait(seconds.lognormvariate(0, 3))
    return dict(totals.drain().fields)


def _report(workers: int) -> HealthReport:
    return HealthReport(
        status=Status.HEALTHY,
        checks=(),
        age_seconds=0.0,
        snapshot=Snapshot(
            taken_at=datetime.now(UTC),
            app=AppFacts(app_id="benchmarks", name="benchmarks"),
            broker=BrokerState(transport="redis", url=""),
            store=StoreState(configured=True),
            inspection=InspectionState(),
            workers=tuple(
                Worker(
                    hostname=f"worker-{number}@host",
                    state=WorkerState.OK,
                    source=Source.HEARTBEATS,
                    active_count=3,
                    last_seen_seconds=1.0,
                )
                for number in range(workers)
            ),
        ),
    )


def bench_metrics() -> Figure:
    with store_and_client() as (store, client):
        store.publish(Publication(writer="bench", sequence=1, fields=_totals()))
        # A reading for the metrics brings the records along: the zeros of counters come from them.
        for number in range(WORKERS):
            store.publish(
                Publication(
                    writer=f"w{number}",
                    sequence=1,
                    kind="worker",
                    name=f"worker-{number}@host",
                    record=record(number, ["celery"]),
                    registered=("f", tuple(f"shop.tasks.number_{n}" for n in range(100))),
                )
            )
        report = _report(WORKERS)
        collector = CeleryHealthCollector(
            report=lambda: report,
            reading=lambda: store.read(Deadline.after(2), totals=True),
            reset_if_behind=lambda epoch, version: None,
            max_age_seconds=0,
        )
        keys: Any = store.keys  # type: ignore[attr-defined]
        body = collector.render()
        size = f"{len(body) / 1e6:.2f} MB, {len(gzip.compress(body, 1)) / 1e3:.0f} kB packed"
        return in_turns(
            f"/metrics, 100 tasks x 3 outcomes, 200 workers ({size}) / bare HGETALL",
            collector.render,
            lambda: client.hgetall(keys.totals),
            target=3.0,
            rounds=40,
        )
