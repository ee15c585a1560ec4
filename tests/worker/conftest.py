"""Workers whose tasks write down the truth, and what the store says of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.counters import decode
from celery_health.deadline import Deadline
from celery_health.store import Store, StoredRecord, open_store
from tests.support import Worker, eventually
from tests.worker.truth import NOTES

APP_ID = "tests.project"
PREFIX = "tests.worker.truth."


#: `eventually`, for what waits on a whole worker: on a busy machine that takes a while.
patiently = partial(eventually, timeout=40.0, interval=0.05)


@dataclass(frozen=True)
class Ledger:
    """Reads the truth and the totals of one Redis."""

    client: redis.Redis
    store: Store
    app: Celery

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Send one of the tasks in `tests.worker.truth`; return its id."""
        return str(self.app.send_task(PREFIX + name, args, **options).id)

    def ran(self) -> Counter[tuple[str, str]]:
        """Return how often each (task, what) ran, by the tasks' own notes."""
        return Counter((task, what) for task, what in map(json.loads, self.client.lrange(NOTES, 0, -1)))

    def totals(self) -> dict[tuple[str, ...], int]:
        """Return the counters: (family, task, exception if any) → total; all are of the queue ``celery``."""
        counted: dict[tuple[str, ...], int] = {}
        for field, total in (self.store.read(Deadline.after(5), totals=True).totals or {}).items():
            cell = decode(field)
            assert cell is not None, field
            if cell.family.kind == "histogram":
                continue
            labels = [label.removeprefix(PREFIX) for label in cell.labels]
            if "queue" in cell.family.labels:
                assert labels.pop(1) == "celery", field
            key = (cell.family.name, *labels)
            counted[key] = counted.get(key, 0) + total
        return counted

    def runs_timed(self, family: str = "runtime") -> Counter[str]:
        """Return how many durations a histogram holds, by task."""
        timed: Counter[str] = Counter()
        for field, total in (self.store.read(Deadline.after(5), totals=True).totals or {}).items():
            cell = decode(field)
            if cell is not None and cell.family.name == family and cell.part != "sum":
                timed[cell.labels[0].removeprefix(PREFIX)] += total
        return timed

    def record(self, hostname: str) -> Mapping[str, Any]:
        """Return the last record under one name; empty before there is one."""
        found = [row for row in self.records() if row.name == hostname]
        return min(found, key=lambda row: row.age_seconds).record if found else {}

    def rows(self, hostname: str) -> Mapping[str, Any]:
        """Return the tasks that the last process under one name holds; empty before there are any."""
        found = [(one.writer, one.name) for one in self.records() if one.name == hostname]
        rows = self.store.rows(found, Deadline.after(5)).rows
        return min(rows, key=lambda one: one.age_seconds).record if rows else {}

    def records(self) -> tuple[StoredRecord, ...]:
        """Return the records of all workers."""
        return self.store.read(Deadline.after(5)).workers

    def settled(self, runs: int, timeout: float = 60.0) -> None:
        """Wait until so many executions have run and each has its outcome."""

        def done() -> bool:
            totals = self.totals()
            ended = sum(
                total
                for key, total in totals.items()
                if key[0] in ("succeeded", "failed", "retried", "ignored", "rejected", "revoked")
            )
            started = sum(total for key, total in totals.items() if key[0] == "started")
            assert sum(self.ran().values()) >= runs, self.ran()
            assert started >= runs, totals
            assert ended >= runs, totals
            return True

        eventually(done, timeout, interval=0.1)


def truth_env(truth_url: str, results: str | None = None) -> dict[str, str]:
    """Return the environment of a worker with the tasks of `tests.worker.truth`."""
    return {"CELERY_TEST_TRUTH": truth_url, "CELERY_TEST_RESULTS": results or ""}


def truth_conf(**conf: Any) -> dict[str, Any]:
    """Return the Celery configuration of such a worker, with `conf` over it."""
    return {
        "include": ["tests.worker.truth"],
        "broker_transport_options": {"visibility_timeout": 3600},
        **conf,
    }


@pytest.fixture
def ledger(redis_url: str, redis_client: redis.Redis, make_app: Callable[..., Celery]) -> Iterator[Ledger]:
    """The truth and the totals in the test's Redis, which is broker, store and truth at once."""
    app = make_app(redis_url)
    store = open_store(app, Settings(app_id=APP_ID))
    assert store is not None
    yield Ledger(redis_client, store, app)
    store.close()


@pytest.fixture
def truth_worker(redis_url: str, worker_factory: Callable[..., Worker]) -> Callable[..., Worker]:
    """Start workers with the tasks of `tests.worker.truth`: ``truth_worker(pool="solo")``."""

    def start(
        *, conf: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None, **options: Any
    ) -> Worker:
        options.setdefault("health", {"HEARTBEAT_INTERVAL": 1, "FLUSH_INTERVAL": 0.2})
        return worker_factory(
            redis_url,
            conf=truth_conf(**(conf or {})),
            env={**truth_env(redis_url, redis_url), **(env or {})},
            **options,
        )

    return start


@pytest.fixture(autouse=True)
def _own_liveness_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the liveness files of the test's workers apart."""
    monkeypatch.setitem(os.environ, "CELERY_HEALTH_PROBE_DIR", str(tmp_path))
