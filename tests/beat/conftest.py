"""A stage for real beats: a broker that fails on demand, a store that does not, and the verdict over both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_health.conf import Limits, Settings
from celery_health.deadline import Deadline
from celery_health.health.beat import BeatAlive, BeatOnTime
from celery_health.reading import Reader
from celery_health.records import CheckResult, Snapshot
from celery_health.store import Publication, open_store
from celery_health.testing import make_snapshot
from tests.support import ROOT, Beat, RedisServer, eventually, project_env

#: Beats start one after the other where many situations are played at once.
_STARTING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long things take."""

    limits: Mapping[str, Any]
    """Those that are not the contract's."""
    reports: Mapping[str, Any]
    """How often beat reports, where not as by default."""
    timeout: float
    """How long to wait for what must be seen."""
    start: float
    """How long a beat may take to start and to send something."""
    interval: float
    """Between two looks."""
    watch: float
    """How long what must not be seen is waited for: longer than an entry may be late."""
    ahead: float
    """How long before its time a daily entry is put on the schedule, at least."""


#: The limits of the contract, a good deal lower: what takes minutes there takes seconds here.
QUICK = Pace(
    limits={
        "beat_lost_seconds": 4,
        "beat_unseen_seconds": 2,
        "overdue_floor_seconds": 3,
        "overdue_seconds": 6,
    },
    reports={"HEARTBEAT_INTERVAL": 0.4, "FLUSH_INTERVAL": 0.2},
    timeout=20.0,
    start=30.0,
    interval=0.1,
    watch=8.0,
    ahead=20.0,
)
DEFAULT = Pace(limits={}, reports={}, timeout=800.0, start=180.0, interval=1.5, watch=80.0, ahead=150.0)
TASK = "tests.project.tasks.noop"
SCHEDULERS = ("persistent", "database", "redbeat")


class Stage:
    """One broker, one store and the beats of one scheduler."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        broker: RedisServer,
        store_url: str,
        start: Callable[..., Beat],
        pace: Pace = QUICK,
    ) -> None:
        self.kind = kind
        self.pace = pace
        self.broker = broker
        self.control = folder / "control"
        self.control.mkdir()
        self.probe_dir = folder / "probe"
        self.probe_dir.mkdir()
        self.database = folder / "beat.sqlite3"
        self.store_url = store_url
        self._start = start
        self.schedule: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    # Beats

    @property
    def health(self) -> dict[str, Any]:
        return {
            "STORE_URL": self.store_url,
            "PROBE_DIR": str(self.probe_dir),
            "LIMITS": self.pace.limits,
            **self.pace.reports,
        }

    @property
    def env(self) -> dict[str, str]:
        env = {"BEAT_TEST_CONTROL": str(self.control)}
        if self.kind == "database":
            env |= {"CELERY_TEST_APPS": "django_celery_beat", "CELERY_TEST_DATABASE": str(self.database)}
        return env

    def beat(
        self,
        *,
        wait: bool = True,
        lock_seconds: int | None = 600,
        scheduler: str | None = None,
        **conf: Any,
    ) -> Beat:
        """Start a beat of this scheduler, with a schedule file of its own; RedBeat with such a lock."""
        classes = {
            "persistent": None,
            "database": "tests.beat.schedulers:ShiftedDatabaseScheduler",
            "redbeat": "redbeat.RedBeatScheduler",
        }
        everything: dict[str, Any] = {"beat_schedule": self.schedule, **conf}
        if self.pace is QUICK or self.kind == "redbeat":
            everything = {"beat_max_loop_interval": 1, **everything}
        if self.kind == "redbeat":
            everything |= {"redbeat_redis_url": self.store_url, "redbeat_lock_timeout": lock_seconds}
            if lock_seconds is None:
                everything["redbeat_lock_key"] = None
        with _STARTING:
            return self._start(
                self.broker.url,
                wait=wait,
                app="tests.beat.project",
                scheduler=scheduler or classes[self.kind],
                health=self.health,
                conf=everything,
                env=self.env,
            )

    def change_table(self, *words: str) -> None:
        """Change the tables of django-celery-beat, as its admin does."""
        env = project_env(self.broker.url, env=self.env)
        subprocess.run(
            [sys.executable, "-m", "tests.beat.change_table", *words],
            check=True,
            cwd=ROOT,
            env={**os.environ, **env},
        )

    def redbeat_app(self) -> Celery:
        """Return an app whose RedBeat entries are those of the beats."""
        app = Celery("tests.project", broker=self.broker.url, set_as_current=False)
        app.conf.update(redbeat_redis_url=self.store_url)
        return app

    # What is seen of them

    def snapshot(self) -> Snapshot:
        """Read as a web process does: settings and schedule of the same project."""
        app = Celery("tests.project", broker=self.broker.url, set_as_current=False)
        app.conf.update(beat_schedule=self.schedule)
        settings = self.settings
        reader = Reader(app, settings)
        try:
            return reader.read(Deadline.after(3.0))
        finally:
            reader.close()
            app.close()

    @property
    def settings(self) -> Settings:
        return Settings(app_id="tests.project", store_url=self.store_url, limits=Limits(**self.pace.limits))

    def quick(self) -> Snapshot:
        """Read the store alone: the broker may hang."""
        from celery_health.reading.beat_reports import beat_of
        from celery_health.records import StoreState

        app = Celery("tests.project", broker=self.broker.url, set_as_current=False)
        store = open_store(app, self.settings)
        assert store is not None
        try:
            reading = store.read(Deadline.after(15.0))
        finally:
            store.close()
            app.close()
        return make_snapshot(
            store=StoreState(configured=True, reachable=True),
            beats=tuple(beat_of(one, self.settings.limits) for one in reading.beats),
            schedule_exists=bool(self.schedule),
            store_age_seconds=reading.server_time - reading.epoch / 1e6 if reading.epoch else None,
        )

    def write_something(self) -> None:
        """Give the store an age, as workers do."""
        app = Celery("tests.project", broker=self.broker.url, set_as_current=False)
        store = open_store(app, self.settings)
        assert store is not None
        store.publish(Publication(writer="test", sequence=1))
        store.close()
        app.close()

    def alive(self) -> list[CheckResult]:
        return list(BeatAlive().judge(self.quick(), self.settings))

    def on_time(self) -> list[CheckResult]:
        return list(BeatOnTime().judge(self.quick(), self.settings))

    def sees(self, what: str, look: Callable[[], Any], factor: float = 1.0) -> Any:
        """Wait until `look` finds something, and note how long that took."""
        started = time.monotonic()
        timeout = self.pace.timeout * factor
        found = eventually(look, timeout, interval=self.pace.interval, what=f"{self.kind}: {what}")
        self.seconds[what] = round(time.monotonic() - started, 1)
        print(f"{self.kind}: {what} after {self.seconds[what]} s")
        return found

    def well(self) -> None:
        """Wait until all is well, as it is soon after the start."""
        eventually(self.is_well, self.pace.start, interval=self.pace.interval, what=f"{self.kind} is well")

    def is_well(self) -> bool:
        """Say whether both checks pass and something was sent."""
        results = [*self.alive(), *self.on_time()]
        assert [result.status.value for result in results] == ["pass", "pass"], results
        return any(beat.last_sent_seconds is not None for beat in self.quick().beats)

    def warns(self, check: str, subject: str | None = None) -> CheckResult | None:
        """Return the warning of a check, of that subject if one is given."""
        results = self.alive() if check == "beat.alive" else self.on_time()
        found = [r for r in results if r.status.value == "warn" and subject in (None, r.subject)]
        return found[0] if found else None

    def entry(self, name: str) -> Any:
        """Return an entry as the last reading has it; None when no beat lists it."""
        from celery_health.reading.schedules import schedule_entries

        return next((e for e in schedule_entries(self.quick().beats) or () if e.entry == name), None)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with django-celery-beat's tables, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "beat.sqlite3"
    env = {"CELERY_TEST_APPS": "django_celery_beat", "CELERY_TEST_DATABASE": str(path)}
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--verbosity", "0", "--skip-checks"],
        check=True,
        cwd=ROOT,
        env={**os.environ, **project_env("memory://", env=env)},
    )
    return path


@pytest.fixture
def make_stage(
    request: pytest.FixtureRequest,
    own_redis: Callable[..., RedisServer],
    beat_factory: Callable[..., Beat],
) -> Callable[..., Stage]:
    """Make stages, each with a broker and a store of its own: ``make_stage("redbeat", folder)``."""

    def make(kind: str, folder: Path, pace: Pace = QUICK, store_url: str | None = None) -> Stage:
        stage = Stage(kind, folder, own_redis(), store_url or own_redis().url, beat_factory, pace)
        if kind == "database":
            shutil.copy(request.getfixturevalue("migrated"), stage.database)
        return stage

    return make


@pytest.fixture(params=SCHEDULERS)
def stage(
    request: pytest.FixtureRequest, tmp_path: Path, redis_url: str, make_stage: Callable[..., Stage]
) -> Stage:
    """A stage for each of the three schedulers."""
    return make_stage(request.param, tmp_path, store_url=redis_url)
