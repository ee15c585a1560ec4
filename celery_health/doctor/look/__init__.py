"""Look at the running system: workers, broker, store and schedule tables, each within its deadline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from celery_health.celery_app import find_app
from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.live import LiveEvidence
from celery_health.doctor.look.letters import oldest_letters
from celery_health.doctor.look.redbeat import SOURCE as REDBEAT
from celery_health.doctor.look.redbeat import redbeat_entries
from celery_health.doctor.look.redis import look_at_backend, look_at_broker
from celery_health.doctor.look.tables import SOURCE as TABLES
from celery_health.doctor.look.tables import table_entries
from celery_health.doctor.look.totals import counted_totals, names_sent, observed_runtimes
from celery_health.reading import get_reading_with_tasks
from celery_health.records import Snapshot
from celery_health.worker import fingerprints

if TYPE_CHECKING:
    from celery import Celery


def gather_live(
    static: Evidence, settings: Settings, deadline: Deadline, app: Celery | None = None
) -> tuple[Evidence, tuple[str, ...]]:
    """Return `static` with what is seen now, and why something could not be looked at.

    Nothing is consumed, marked or moved. What does not answer in time is a note, never an error.
    """
    app = app or find_app(settings)
    notes: list[str] = []
    snapshot, _ = get_reading_with_tasks(deadline.within(settings.deadline))
    notes += _notes_of(snapshot)
    totals = counted_totals(settings, deadline)
    live = LiveEvidence(snapshot=snapshot, observed=observed_runtimes(totals), sent=names_sent(totals))
    if snapshot.app.always_eager:
        return replace(static, live=live), tuple(notes)
    configured = frozenset(entry.name for entry in static.entries)
    rows = table_entries(app, snapshot, configured, notes)
    redbeat = redbeat_entries(app, snapshot, configured, deadline, notes)
    live = replace(
        live,
        entries=(*rows.entries, *redbeat.entries),
        read_from=frozenset(source for source, kept in ((TABLES, rows), (REDBEAT, redbeat)) if kept.is_read),
        switched_off=rows.switched_off | redbeat.switched_off,
        broker_fingerprint=_fingerprint(app, static),
    )
    if static.is_redis and snapshot.broker.reachable:
        live = look_at_broker(app, replace(static, live=live), live, deadline, notes)
    if snapshot.broker.reachable:
        live = replace(live, oldest_letters=oldest_letters(app, settings, snapshot, deadline, notes))
    live = look_at_backend(app, live, deadline, notes)
    return replace(static, live=live), tuple(notes)


def _notes_of(snapshot: Snapshot) -> list[str]:
    """Return what the snapshot itself could not say."""
    if snapshot.app.always_eager:
        return ["workers and broker: task_always_eager is on, and tasks run in the process that calls them."]
    notes = []
    if snapshot.broker.late:
        notes.append(f"the broker at {snapshot.broker.url}, and workers: {snapshot.broker.late}")
    elif not snapshot.broker.reachable:
        notes.append(f"the broker at {snapshot.broker.url}: {snapshot.broker.error or 'it was not asked'}")
    elif not any(worker.state.is_live for worker in snapshot.workers):
        notes.append("what workers register and consume: no worker is known to live.")
    elif any(w.registered is None for w in snapshot.workers if w.state.is_live):
        notes.append("what every worker registers: some do not say.")
    if not snapshot.store.configured:
        notes.append("beat's records and counts of tasks: no store is configured (STORE_URL).")
    elif snapshot.store.late:
        if not snapshot.broker.late:
            notes.append(f"the store: {snapshot.store.late}")
    elif not snapshot.store.reachable:
        notes.append(f"the store at {snapshot.store.url}: {snapshot.store.error or 'it was not asked'}")
    return notes


def _fingerprint(app: Celery, static: Evidence) -> str | None:
    """Return the fingerprint of the broker that is written to; None where that is not the one read from."""
    return None if static.conf.publishes_elsewhere else fingerprints.broker(app)
