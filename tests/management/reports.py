"""Reports made by hand: what the command shows is compared with them, letter by letter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from celery_health.records import (
    AppFacts,
    BrokerState,
    CheckResult,
    CheckStatus,
    HealthReport,
    InspectionState,
    QueueState,
    RunningTask,
    Snapshot,
    Source,
    Status,
    StoreState,
    Worker,
    WorkerState,
)

REDIS = BrokerState(transport="redis", url="redis://localhost:6379/0", reachable=True, latency_seconds=0.001)


def snapshot(**fields: Any) -> Snapshot:
    """Return a snapshot of the app ``shop``, which nobody works for unless `fields` say so."""
    known: dict[str, Any] = {
        "taken_at": datetime(2026, 11, 21, 10, 0, 0, 120_000, tzinfo=UTC),
        "app": AppFacts(app_id="shop", name="shop"),
        "broker": REDIS,
        "store": StoreState(configured=False),
        "inspection": InspectionState(asked=True, complete=True),
    }
    return Snapshot(**{**known, **fields})


def worker(hostname: str, state: WorkerState = WorkerState.OK, **fields: Any) -> Worker:
    return Worker(hostname=hostname, state=state, source=Source.HEARTBEATS, **fields)


def queue(name: str, ready: int | None, **fields: Any) -> QueueState:
    return QueueState(name=name, ready=ready, **fields)


def running(task_name: str, seconds: float | None, **fields: Any) -> RunningTask:
    known = {"worker": "w1@host", "task_id": "3f2a", "queue": "celery"}
    return RunningTask(task_name=task_name, runtime_seconds=seconds, **{**known, **fields})


def check(
    id: str, status: CheckStatus, message: str, advice: str | None = None, **fields: Any
) -> CheckResult:
    return CheckResult(id=id, status=status, message=message, recommendation=advice, **fields)


def report(status: Status, *checks: CheckResult, **fields: Any) -> HealthReport:
    return HealthReport(status=status, checks=checks, snapshot=snapshot(**fields), age_seconds=0.8)


PASSED = (
    check("broker.reachable", CheckStatus.PASS, "The broker at redis://localhost:6379/0 answers."),
    check("workers.alive", CheckStatus.PASS, "2 workers are alive."),
)
NO_WORKERS = check(
    "workers.alive",
    CheckStatus.FAIL,
    "No active Celery workers found.",
    "No active Celery workers found. Start one: celery -A shop worker",
    observed=0,
    limit=1,
    unit="workers",
)
DEEP = check(
    "queues.depth",
    CheckStatus.WARN,
    "Queue 'emails' holds 1204 tasks (limit 1000).",
    "Queue 'emails' holds 1204 tasks (limit 1000). Add workers: celery -A shop worker -Q emails",
    subject="emails",
    observed=1204,
    limit=1000,
    unit="tasks",
)

HEALTHY = report(
    Status.HEALTHY,
    *PASSED,
    source=Source.HEARTBEATS,
    workers=(
        worker(
            "w1@host",
            WorkerState.BUSY,
            pool="prefork",
            concurrency=2,
            active=(running("shop.tasks.invoice", 2.04), running("shop.tasks.report", 75.2, task_id="9c1e")),
            active_count=2,
            reserved_count=3,
            scheduled_count=0,
            queues=("celery", "emails"),
            last_seen_seconds=0.4,
        ),
        worker("w2@host"),
    ),
    queues=(
        queue(
            "celery",
            1205,
            held=3,
            reserved=3,
            unacked=5,
            scheduled=0,
            active=2,
            oldest_age_seconds=61.0,
            consumers=2,
        ),
        queue("emails", 0, consumers=0),
        queue("slow", 1, oldest_age_seconds=4000.0, oldest_age_is_minimum=True),
    ),
)
DEGRADED = report(
    Status.DEGRADED,
    *PASSED,
    DEEP,
    workers=(worker("w1@host"), worker("w3@host", WorkerState.GONE)),
    queues=(queue("celery", 5), queue("emails", 1204)),
)
UNHEALTHY = report(
    Status.UNHEALTHY,
    PASSED[0],
    DEEP,
    NO_WORKERS,
    queues=(queue("celery", 12), queue("emails", 1204), queue("slow", None)),
)

AWAY = report(
    Status.UNHEALTHY,
    check(
        "broker.reachable",
        CheckStatus.FAIL,
        "The broker at redis://db/0 cannot be reached: TimeoutError: timed out",
        "The broker at redis://db/0 cannot be reached. Check that it runs.",
    ),
    *(
        check(id, CheckStatus.UNKNOWN, "The broker is away.", because="broker.reachable")
        for id in ("workers.alive", "queues.depth")
    ),
    check("dead_letters.size", CheckStatus.OFF, "Dead letters are off (DEAD_LETTERS)."),
    broker=BrokerState(transport="redis", url="redis://db/0", reachable=False),
    inspection=InspectionState(),
    queues=(queue("celery", None),),
    notes=("The broker did not answer in time.",),
)
