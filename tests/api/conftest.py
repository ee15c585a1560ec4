"""Fixtures: a hand-made snapshot behind the views, and callers of every rank.

The snapshot stands in for real workers, which do not show every state on demand; `test_end_to_end` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.test import Client

from celery_health.api.answers import _log_once
from celery_health.deadline import Deadline
from celery_health.doctor.findings import DoctorReport, Finding, Kind, Scope, Severity, Subject
from celery_health.exceptions import BrokerError, LateBrokerError
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import Hour, Snapshot
from celery_health.testing import make_snapshot

PREFIX = "/api/celery/"
#: Each resource of the contract that is read, and the key of PERMISSIONS that guards it.
RESOURCES = {
    "health/": "health",
    "tasks/": "read",
    "stats/": "read",
    "workers/": "read",
    "queues/": "read",
    "schedule/": "read",
    "doctor/": "read",
}
FOUND = DoctorReport(
    findings=(
        Finding(
            code="E101",
            rule="beat-task-unregistered",
            severity=Severity.ERROR,
            subject=Subject(kind=Kind.BEAT_ENTRY, name="sync"),
            message="Beat entry 'sync' sends 'accounts.tasks.sync', which no consumer of 'celery' registers.",
            evidence={
                "task": "accounts.tasks.sync",
                "nearest": ["accounts.tasks.sync_accounts"],
                "workers": ["w1@host"],
                "source": "settings",
            },
            fix="Set the entry's task to 'accounts.tasks.sync_accounts'.",
            docs="docs/doctor/lost-work.md#beat-task-unregistered",
        ),
    ),
    scope=Scope.LIVE,
    as_of=datetime(2026, 1, 28, 10, 0, 0, 120_000, tzinfo=UTC),
)
RANKS = ("anonymous", "user", "staff", "superuser")


class Celery:
    """What the views find: set `snapshot`, `age_seconds` or `error`."""

    def __init__(self) -> None:
        self.snapshot = make_snapshot()
        self.age_seconds = 0.25
        self.error: Exception | None = None
        self.results: str | None = None
        self.asked = 0
        self.doctor = FOUND
        self.totals: Mapping[str, TaskTotals] | None = None
        self.hour: Hour | None = None

    def read(self, deadline: Deadline | None = None) -> tuple[Snapshot, float]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.snapshot, self.age_seconds

    def read_totals(self, deadline: Deadline | None = None) -> Mapping[str, TaskTotals] | None:
        return self.totals

    def read_hour(self, deadline: Deadline | None = None) -> Hour | None:
        return self.hour

    def examine(self, deadline: Deadline | None = None) -> DoctorReport:
        self.read(deadline)
        return self.doctor

    def check_broker(self, deadline: Deadline) -> None:
        if self.error is not None:
            raise self.error
        if self.snapshot.broker.late:
            raise LateBrokerError(self.snapshot.broker.late)
        if self.snapshot.broker.reachable is False:
            raise BrokerError(self.snapshot.broker.error or "")


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch) -> Celery:
    """What the views find instead of a broker."""
    fake = Celery()
    monkeypatch.setattr("celery_health.api.snapshots.get_reading", fake.read)
    monkeypatch.setattr("celery_health.api.snapshots.get_reading_with_tasks", fake.read)
    monkeypatch.setattr("celery_health.api.snapshots.get_totals", fake.read_totals)
    monkeypatch.setattr("celery_health.page.counts.get_totals", fake.read_totals)
    monkeypatch.setattr("celery_health.page.counts.get_hour", fake.read_hour)
    monkeypatch.setattr("celery_health.health.verdict.get_reading", fake.read)
    monkeypatch.setattr("celery_health.doctor.live_examination.examine_live", fake.examine)
    monkeypatch.setattr("celery_health.api.probes.check_broker", fake.check_broker)
    monkeypatch.setattr("celery_health.api.probes.results_fault", lambda: fake.results)
    return fake


@pytest.fixture
def client_of(db: None) -> Callable[[str], Client]:
    """Return a client who is ``anonymous``, a ``user``, ``staff`` or a ``superuser``."""

    def make(rank: str) -> Client:
        client = Client()
        if rank != "anonymous":
            user = get_user_model().objects.create_user(
                username=rank, is_staff=rank in ("staff", "superuser"), is_superuser=rank == "superuser"
            )
            client.force_login(user)
        return client

    return make


@pytest.fixture
def staff(client_of: Callable[[str], Client]) -> Client:
    """A client on the staff."""
    return client_of("staff")


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    """Let each test see the one log record of a configuration error."""
    _log_once.cache_clear()
    yield


def _broken(*args: Any, **kwargs: Any) -> Any:
    raise OperationalError("the database is down")


@pytest.fixture
def broken_database() -> Iterator[None]:
    """Make every use of the database fail, transactions included: nothing else fails on demand here."""
    with (
        patch("django.db.backends.base.base.BaseDatabaseWrapper.ensure_connection", _broken),
        patch("django.db.backends.base.base.BaseDatabaseWrapper.set_autocommit", _broken),
        patch("django.db.backends.base.base.BaseDatabaseWrapper.cursor", _broken),
    ):
        yield
