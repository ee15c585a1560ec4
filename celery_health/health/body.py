"""The verdict as JSON: the body of ``health/`` and of ``celery_health --json``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from celery_health.health.gaps import notes_of
from celery_health.health.workers import NO_WORKERS
from celery_health.records import CheckResult, HealthReport, Snapshot, WorkerState


def report_body(report: HealthReport, *, details: bool = True) -> dict[str, Any]:
    """Return `report` as the contract describes it; without `details`, only states (``HEALTH_DETAILS``)."""
    if not details:
        return {
            "status": report.status.value,
            "checks": [{"id": check.id, "status": check.status.value} for check in report.checks],
        }
    snapshot = report.snapshot
    return {
        "status": report.status.value,
        "workers": _workers(snapshot),
        # -1 for a depth that could not be read: this field alone, for what reads it already.
        "queues": {queue.name: -1 if queue.ready is None else queue.ready for queue in snapshot.queues},
        "recommendations": list(report.recommendations),
        "checks": [_check(check) for check in report.checks],
        "notes": list(notes_of(report)),
        "source": snapshot.source.value,
        "as_of": timestamp(snapshot.taken_at),
        "age_seconds": round(report.age_seconds, 3),
    }


def _workers(snapshot: Snapshot) -> dict[str, Any]:
    workers = snapshot.workers
    # One that starts would not answer either.
    live = [w.hostname for w in workers if w.state.is_live and w.state is not WorkerState.STARTING]
    unknown = any(worker.state is WorkerState.UNKNOWN for worker in workers)
    starting = any(worker.state is WorkerState.STARTING for worker in workers)
    told = (snapshot.inspection.complete or starting) and not unknown
    # None: nobody could say, so neither true nor false.
    body: dict[str, Any] = {
        "healthy": True if live else (False if told else None),
        "active_workers": live,
        "worker_count": len(live),
    }
    if not live and not snapshot.app.always_eager:
        body["error"] = NO_WORKERS
    return body


def _check(check: CheckResult) -> dict[str, Any]:
    return {
        "id": check.id,
        "status": check.status.value,
        "subject": check.subject,
        "observed": check.observed,
        "limit": check.limit,
        "unit": check.unit,
        "message": check.message,
        "recommendation": check.recommendation,
        "because": check.because,
    }


def timestamp(moment: datetime) -> str:
    """Return an aware UTC moment as ISO 8601 with milliseconds and ``Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
