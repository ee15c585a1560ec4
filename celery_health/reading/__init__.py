"""Read once a second at most, whoever asks: the one reader of this process, shared by its threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from celery_health.celery_app import find_app
from celery_health.conf import get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded, ThreadError
from celery_health.reading.reader import Reader
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import Snapshot

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


def get_snapshot(deadline: Deadline | None = None) -> Snapshot:
    """Return what is true now, at most a second old; within `deadline`, else the ``DEADLINE`` setting.

    A broker that does not answer is said so in the snapshot.

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
        return reader.snapshots.get(deadline)
    except DeadlineExceeded as error:
        return reader.unread(reader.broker_state(error)), 0.0


def get_totals(deadline: Deadline | None = None) -> Mapping[str, TaskTotals] | None:
    """Return what has been counted of each task, by name; None without a store that answers in time.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    reader = get_reader()
    try:
        return reader.totals.get(deadline or Deadline.after(reader.settings.deadline))[0]
    except (DeadlineExceeded, ThreadError):
        return None


def check_broker(deadline: Deadline) -> None:
    """Make one round trip to the broker; at most once a second per process, shared by its threads.

    Raises:
        BrokerError: the broker did not answer within `deadline`; the message is masked.
        ConfigurationError: no app is configured, or a setting is wrong.
        ThreadError: this process cannot start a thread to ask in.
    """
    reader = get_reader()
    if reader.facts.always_eager:
        return
    try:
        reader.pings.get(deadline)
    except DeadlineExceeded as error:
        raise BrokerError(str(error)) from error


def _after_fork() -> None:
    # Sockets and threads of the parent are not ours; its lock may be held for ever.
    global _reader, _reader_lock
    _reader, _reader_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
