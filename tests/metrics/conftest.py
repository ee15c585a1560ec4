"""Reports and readings to make metrics of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from celery_health.records import (
    AppFacts,
    BrokerState,
    CheckResult,
    HealthReport,
    InspectionState,
    Snapshot,
    Source,
    Status,
    StoreState,
    Worker,
    WorkerState,
    Writes,
)
from celery_health.store import StoredRecord, StoreReading

TAKEN_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVER_TIME = TAKEN_AT.timestamp()


def report(
    *, status: Status = Status.HEALTHY, checks: Iterable[CheckResult] = (), **snapshot: Any
) -> HealthReport:
    given = {"workers": (), "queues": (), **snapshot}
    return HealthReport(
        status=status,
        checks=tuple(checks),
        age_seconds=0.0,
        snapshot=Snapshot(
            taken_at=TAKEN_AT,
            app=AppFacts(app_id="shop", name="shop"),
            broker=BrokerState(
                transport="redis", url="redis://host/0", reachable=True, writes=Writes(accepted=True)
            ),
            store=StoreState(configured=True, reachable=True),
            inspection=InspectionState(),
            **given,
        ),
    )


def reading(totals: dict[str, int] | None = None, **more: Any) -> StoreReading:
    return StoreReading(
        **{"server_time": SERVER_TIME, "epoch": 100, "version": 1, "totals": totals or {}, **more}
    )


def worker(hostname: str = "w1@host", state: WorkerState = WorkerState.OK, **more: Any) -> Worker:
    return Worker(
        hostname=hostname, state=state, source=Source.HEARTBEATS, **{"last_seen_seconds": 2.5, **more}
    )


def beat(age_seconds: float, name: str = "beat@host", **record: Any) -> StoredRecord:
    return StoredRecord(name=name, age_seconds=age_seconds, record=record)
