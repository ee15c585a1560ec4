"""What the gauges show: facts about the present, from one report and one reading of the store. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from celery_health.reading import fields
from celery_health.records import CheckStatus, HealthReport, QueueState, Source, Status, Worker, WorkerState
from celery_health.store.base import StoredRecord, StoreReading

#: How long a worker that was lost stays at ``celery_worker_up 0``: alerts wait a quarter of an hour.
LOST_WORKER_SECONDS: Final = 30 * 60
#: A beat whose record is older says nothing of the schedule if there is a younger one.
BEAT_SECONDS: Final = 120

#: Label values to value.
Samples = dict[tuple[str, ...], float]
Facts = dict[str, Samples]


def facts_of(report: HealthReport | None, reading: StoreReading | None) -> Facts:
    """Return every fact that is known; one that is not known has no sample.

    Args:
        report: None when it could not be made.
        reading: of the store; None without one, or when it did not answer.
    """
    facts: Facts = {"celery_health_up": {(): 0.0 if report is None else 1.0}}
    if report is not None:
        facts |= _workers(report) | _queues(report.snapshot.queues, report.snapshot.workers)
        facts |= _losses(report)
        facts["celery_health_status"] = {(status.value,): float(status is report.status) for status in Status}
        takes = report.snapshot.broker.writes.accepted
        facts["celery_broker_writable"] = {} if takes is None else {(): float(takes)}
        facts["celery_result_backend_up"] = _results(report)
        letters = report.snapshot.dead_letters or {}
        facts["celery_dead_letter_queue_size"] = {
            (queue,): float(size) for queue, size in letters.items() if size is not None
        }
    if reading is not None:
        facts |= _beats(reading) | _streaks(reading)
    return facts


def _results(report: HealthReport) -> Samples:
    """Return what the check found: whether it is severe enough for a warning is not asked here."""
    known = {CheckStatus.PASS: 1.0, CheckStatus.WARN: 0.0, CheckStatus.FAIL: 0.0}
    found = [one for one in report.checks if one.id == "results.reachable" and one.status in known]
    return {(): min(known[one.status] for one in found)} if found else {}


def _workers(report: HealthReport) -> Facts:
    snapshot = report.snapshot
    up: Samples = {}
    active: Samples = {}
    seen: Samples = {}
    restarts: Samples = {}
    for worker in snapshot.workers:
        if not _is_shown(worker):
            continue
        # Two of one name have one series: up while one is, and what both run.
        labels = (worker.hostname,)
        up[labels] = max(up.get(labels, 0.0), float(worker.state.is_live))
        if worker.state.is_live and worker.active_count is not None:
            active[labels] = active.get(labels, 0.0) + worker.active_count
        if worker.source is Source.HEARTBEATS:
            starts = worker.starts
            broken = 0 if starts is None or starts.is_over else starts.broken_count
            restarts[labels] = max(restarts.get(labels, 0.0), float(broken))
        if worker.last_seen_seconds is not None:
            seen_at = snapshot.taken_at.timestamp() - worker.last_seen_seconds
            seen[labels] = max(seen.get(labels, seen_at), seen_at)
    facts = {
        "celery_worker_up": up,
        "celery_worker_tasks_active": active,
        "celery_worker_last_heartbeat_timestamp_seconds": seen,
        "celery_worker_restarts_last_hour": restarts,
    }
    live = sum(worker.state.is_live for worker in snapshot.workers)
    if any(check.id == "workers.alive" and check.status is CheckStatus.FAIL for check in report.checks):
        # Those that come to nothing are nobody, by the same word.
        live -= sum(worker.state is WorkerState.STARTING for worker in snapshot.workers)
    if live or not _is_unknown(report, "workers.alive"):
        facts["celery_workers"] = {(): float(live)}
    return facts


def _losses(report: HealthReport) -> Facts:
    """Return what is lost: 0 for whoever is there and lost nothing, where that is known."""
    snapshot, losses = report.snapshot, report.snapshot.losses
    facts: Facts = {"celery_worker_tasks_lost": {}, "celery_queue_tasks_orphaned": {}}
    if not snapshot.store.reachable:
        return facts
    runs: Samples = {(worker.hostname,): 0.0 for worker in snapshot.workers if worker.state.is_live}
    for lost in losses.runs:
        runs[lost.hostname,] = runs.get((lost.hostname,), 0.0) + lost.count
    orphans = facts["celery_queue_tasks_orphaned"]
    if losses.are_orphans_known:
        orphans |= {(queue.name,): 0.0 for queue in snapshot.queues}
        for one in losses.orphans:
            if one.count is not None:
                orphans[one.queue or "",] = float(one.count)
            else:
                orphans.pop((one.queue or "",), None)
    return facts | {"celery_worker_tasks_lost": runs}


def _is_shown(worker: Worker) -> bool:
    """Say whether a worker is up or was lost lately; one that left politely, or is unknown, is neither."""
    if worker.state.is_live:
        return True
    if worker.state is WorkerState.UNKNOWN or worker.said_goodbye or worker.is_draining:
        return False
    return worker.last_seen_seconds is not None and worker.last_seen_seconds <= LOST_WORKER_SECONDS


def _is_unknown(report: HealthReport, check: str) -> bool:
    found = [result for result in report.checks if result.id == check]
    unsaid = (CheckStatus.UNKNOWN, CheckStatus.UNSUPPORTED)
    # Off by MIN_WORKERS 0 it has counted, off by CHECKS it has not.
    return any(
        result.status in unsaid or (result.status is CheckStatus.OFF and result.observed is None)
        for result in found
    )


def _queues(queues: Iterable[QueueState], workers: Iterable[Worker]) -> Facts:
    facts: Facts = {
        "celery_queue_length": {},
        "celery_queue_tasks_active": {},
        "celery_queue_tasks_reserved": {},
        "celery_queue_tasks_held": {},
        "celery_queue_oldest_message_age_seconds": {},
        "celery_active_consumer_count": {},
        "celery_active_worker_count": {},
        "celery_active_process_count": {},
        "celery_held_back_process_count": {},
    }
    held_back: Counter[str] = Counter()
    for worker in workers:
        if worker.state is WorkerState.HELD_BACK:
            held_back.update(dict.fromkeys(worker.queues or (), worker.concurrency or 0))
    for queue in queues:
        known = {
            "celery_queue_length": queue.ready,
            "celery_queue_tasks_active": queue.active,
            "celery_queue_tasks_reserved": queue.reserved,
            "celery_queue_tasks_held": queue.held,
            "celery_queue_oldest_message_age_seconds": 0 if queue.waiting == 0 else queue.oldest_age_seconds,
            "celery_active_consumer_count": queue.consumers,
            "celery_active_worker_count": None if queue.consumers is None else len(queue.consumer_names),
            "celery_active_process_count": queue.capacity,
            "celery_held_back_process_count": None if queue.capacity is None else held_back[queue.name],
        }
        for fact, value in known.items():
            if value is not None:
                facts[fact][(queue.name,)] = float(value)
    return facts


def _streaks(reading: StoreReading) -> Facts:
    """Return how many runs in a row of each task ended badly, and when the last did."""
    rows = {name: streak for name, streak in reading.streaks.items() if streak.failures}
    return {
        "celery_task_failure_streak": {(name,): float(row.failures) for name, row in rows.items()},
        "celery_task_last_failure_timestamp_seconds": {
            (name,): reading.server_time - row.failed_seconds for name, row in rows.items()
        },
    }


def _beats(reading: StoreReading) -> Facts:
    """Return the last tick of all beats, and how late each entry is by the beats that are there."""
    # The youngest record first; a beat that waits for another's lock has no schedule to keep.
    beats = sorted(reading.beats, key=lambda beat: beat.age_seconds)
    ticks = [
        reading.server_time - beat.age_seconds - age
        for beat in beats
        if (age := fields.number(beat.record.get("tick_age_seconds"))) is not None
    ]
    facts: Facts = {"celery_beat_last_tick_timestamp_seconds": {(): max(ticks)}} if ticks else {}
    keepers = [beat for beat in beats if beat.record.get("lock") != "waiting"]
    present = [
        beat for beat in keepers if beat.age_seconds <= BEAT_SECONDS and not beat.record.get("goodbye")
    ] or keepers[:1]
    overdue: Samples = {}
    for beat in present:
        for name, seconds in _overdue(beat).items():
            overdue.setdefault((name,), seconds)
    facts["celery_beat_overdue_seconds"] = overdue
    return facts


def _overdue(beat: StoredRecord) -> Mapping[str, float]:
    late: dict[str, float] = {}
    entries = beat.record.get("entries")
    for row in entries if isinstance(entries, list) else ():
        if not isinstance(row, Mapping) or "entry" not in row or row.get("enabled") is False:
            continue
        seconds, due_in = (
            fields.number(row.get("overdue_seconds")),
            fields.number(row.get("next_due_in_seconds")),
        )
        if seconds is None and due_in is None:
            continue
        # A beat that is gone says nothing more, and its entries come due all the same.
        grown = seconds + beat.age_seconds if seconds else 0.0
        since_due = 0.0 if due_in is None or beat.age_seconds <= BEAT_SECONDS else beat.age_seconds - due_in
        late[fields.name(row["entry"])] = max(0.0, grown, since_due)
    return late
