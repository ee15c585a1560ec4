"""Read once a second at most, whoever asks: the one reader of this process, shared by its threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from celery_health.celery_app import find_app
from celery_health.conf import get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import (
    BrokerError,
    DeadlineExceeded,
    LateBrokerError,
    LateError,
    RefusedError,
    StoreError,
    ThreadError,
)
from celery_health.reading.preparation import IMPORT_SECONDS
from celery_health.reading.reader import Reader
from celery_health.reading.task_rows import joined, processes_of, without_rows
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import Hour, Snapshot

#: How much of what is left of a deadline may go into reading the tasks of workers one by one.
TASKS_SHARE: Final = 0.6

_reader: Reader | None = None
_reader_lock = threading.Lock()


def get_reader() -> Reader:
    """Return this process's reader of the configured app; a new one when the settings changed.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    global _reader
    settings = get_settings()
    app = find_app(settings)
    with _reader_lock:
        if _reader is None or _reader.app is not app or _reader.settings is not settings:
            if _reader is not None:
                _reader.close()
            _reader = Reader(app, settings)
        return _reader


def prepare(seconds: float = IMPORT_SECONDS) -> None:
    """Import all that an answer needs, for at most so many seconds: what a command does before its deadline.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    with suppress(LateError):  # whoever reads says so
        get_reader().prepare(Deadline.after(seconds), waits_for_tasks=True)


def get_snapshot(deadline: Deadline | None = None) -> Snapshot:
    """Return what is true now, at most a second old; within `deadline`, else the ``DEADLINE`` setting.

    A broker that does not answer is said so in the snapshot; so is a process that is late itself.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
        ThreadError: this process cannot start a thread to read in; nothing is known then.
    """
    return get_reading(deadline)[0]


def get_reading(deadline: Deadline | None = None) -> tuple[Snapshot, float]:
    """Return the snapshot of `get_snapshot` and its age in seconds."""
    reader = get_reader()
    deadline = deadline or Deadline.after(reader.settings.deadline)
    try:
        reader.prepare(deadline)
        return reader.snapshots.get(deadline)
    except (DeadlineExceeded, LateError) as error:
        return reader.unread(reader.broker_state(error)), 0.0


def get_reading_with_tasks(deadline: Deadline | None = None) -> tuple[Snapshot, float]:
    """Return the same as `get_reading`, its workers with the tasks that they hold: see `with_tasks`."""
    deadline = deadline or Deadline.after(get_reader().settings.deadline)
    snapshot, age_seconds = get_reading(deadline)
    return with_tasks(snapshot, age_seconds, deadline), age_seconds


def with_tasks(snapshot: Snapshot, age_seconds: float, deadline: Deadline) -> Snapshot:
    """Return `snapshot` with each task that its workers hold: large, and no verdict needs them.

    Where they cannot be had within `deadline` it keeps what the records list, and `task_notes` says so.

    Args:
        snapshot: as `get_reading` returned it.
        age_seconds: its age.
        deadline: also for what follows: a part of it is left.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    if not snapshot.store.reachable or not processes_of(snapshot.workers):
        return snapshot
    reader = get_reader()
    deadline = deadline.within(deadline.remaining() * TASKS_SHARE)
    try:
        found, since = reader.on_demand.rows.get(deadline)
        if since > age_seconds:  # of an earlier reading: its workers may have been others
            reader.on_demand.rows.forget()
            found, since = reader.on_demand.rows.get(deadline)
    except (DeadlineExceeded, ThreadError, StoreError) as error:
        return without_rows(snapshot, error)
    return joined(snapshot, found, since)


def get_totals(deadline: Deadline | None = None) -> Mapping[str, TaskTotals] | None:
    """Return what has been counted of each task, by name; None without a store that answers in time.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    reader = get_reader()
    deadline = deadline or Deadline.after(reader.settings.deadline)
    try:
        reader.prepare(deadline)
        return reader.on_demand.totals.get(deadline)[0]
    except (DeadlineExceeded, LateError, ThreadError):
        return None


def get_hour(deadline: Deadline | None = None) -> Hour | None:
    """Return what became of each task's runs in the last hour, minute by minute; at most a second old.

    None without a store, or without one that answers in time. What was read once stays in this process: the
    first answer after its start may lack some minutes of a very large hour, and says so.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    reader = get_reader()
    if reader.facts.always_eager:
        return None
    deadline = deadline or Deadline.after(reader.settings.deadline)
    try:
        reader.prepare(deadline)
        return reader.on_demand.hours.get(deadline)[0]
    except (DeadlineExceeded, LateError, StoreError, ThreadError):
        return None


def check_broker(deadline: Deadline) -> None:
    """Make one round trip to the broker; at most once a second per process, shared by its threads.

    Raises:
        RefusedError: the broker answered, and takes no messages.
        BrokerError: the broker did not answer within `deadline`; the message is masked.
        LateBrokerError: nor was it asked in time: this process was late itself.
        ConfigurationError: no app is configured, or a setting is wrong.
        ThreadError: this process cannot start a thread to ask in.
    """
    reader = get_reader()
    if reader.facts.always_eager:
        return
    try:
        reader.prepare(deadline)
        writes, _ = reader.pings.get(deadline)
    except LateBrokerError:
        raise
    except LateError as error:
        raise LateBrokerError(str(error)) from error
    except DeadlineExceeded as error:
        raise BrokerError(str(error)) from error
    if writes.accepted is False:
        raise RefusedError(
            f"The broker answers and refuses writes: {writes.refusal}. {writes.fix or ''}".rstrip()
        )


def results_fault() -> str | None:
    """Return that results cannot be stored, as their Redis last answered in this process; None else.

    Asks nobody: `check_broker` and readings do, beside what they do. Of other backends only a verdict knows.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    return get_reader().results.fault()


def _after_fork() -> None:
    # Sockets and threads of the parent are not ours; its lock may be held for ever.
    global _reader, _reader_lock
    _reader, _reader_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
