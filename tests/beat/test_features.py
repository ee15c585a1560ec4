"""What schedulers can do, with real beats: keys of one's own, time zones, the sun, once only, embedded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from celery_health.beat.entries import schedule_text
from celery_health.records import BeatState
from tests.beat.conftest import QUICK, TASK, Stage
from tests.beat.test_situations import OFTEN, only_beat
from tests.conftest import skip_loudly
from tests.support import ROOT, Worker, always, eventually, project_env

pytestmark = [pytest.mark.slow, pytest.mark.redis]
#: Subclasses, as projects have them, of the three schedulers.
SUBCLASSES = {
    "persistent": "tests.beat.owned.OwnedScheduler",
    "database": "tests.beat.schedulers.ShiftedDatabaseScheduler",
    "redbeat": "tests.beat.owned.OwnedRedBeatScheduler",
}


def started(stage: Stage, **conf: Any) -> None:
    """Start a beat of the subclass, and wait until all is well."""
    module, _, name = SUBCLASSES[stage.kind].rpartition(".")
    stage.beat(scheduler=f"{module}:{name}", **conf)
    stage.well()


def test_beat__subclass_whose_entries_have_keys_of_their_own(stage: Stage) -> None:
    # A field of the row for django-celery-beat, of the project's own class for the others.
    own = {"description": "asked for by billing"} if stage.kind == "database" else {"owner": "billing"}
    stage.schedule = {"often": {**OFTEN, **own, "options": {"queue": "slow"}}}
    started(stage)
    beat = only_beat(stage)
    assert (beat.state, beat.scheduler) == (BeatState.OK, SUBCLASSES[stage.kind])
    entry = stage.entry("often")
    assert (entry.task, entry.queue, entry.schedule) == (TASK, "slow", "every 1 s")
    assert entry.last_sent_seconds < 5
    # The web process derives from the same settings what should be consumed.
    snapshot = stage.snapshot()
    assert snapshot.schedule_exists is True
    assert "slow" in {queue.name for queue in snapshot.queues}


def test_beat__entry_that_the_settings_switch_off(stage: Stage) -> None:
    if stage.kind == "persistent":
        pytest.skip("Celery's own scheduler knows no switch.")
    stage.schedule = {"often": OFTEN, "off": {"task": TASK, "schedule": 1.0, "enabled": False}}
    started(stage)
    off = eventually(lambda: stage.entry("off"), 30)
    # Of a row that is only listed nobody says whether it is late.
    late = None if stage.kind == "database" else 0.0
    assert (off.enabled, off.last_sent_at, off.overdue_seconds) == (False, None, late)


def next_time(minute: int, hour: int, zone: str) -> datetime:
    """Return when it is that time next in a zone, in UTC."""
    now = datetime.now(ZoneInfo(zone))
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (moment if moment > now else moment + timedelta(days=1)).astimezone(UTC)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York"])
def test_beat__crontab_in_any_zone(zone: str, stage: Stage) -> None:
    # An hour ahead: django-celery-beat keeps in its heap what is due soon.
    soon = datetime.now(ZoneInfo(zone)) + timedelta(hours=1)
    daily = {"task": TASK, "schedule": {"minute": soon.minute, "hour": soon.hour}}
    stage.schedule = {"often": OFTEN, **({} if stage.kind == "database" else {"daily": daily})}
    text = f"{soon.minute} {soon.hour} * * * ({zone})"
    if stage.kind == "database":
        stage.change_table("daily", "daily", TASK, str(soon.minute), str(soon.hour), zone)
        started(stage)
    else:
        started(stage, timezone=zone)
    entry = eventually(lambda: stage.entry("daily"), 30)
    expected = next_time(soon.minute, soon.hour, zone)
    assert entry.schedule == text
    assert abs((entry.next_due_at - expected).total_seconds()) < 65
    assert 3400 < entry.next_due_in_seconds < 3700
    assert (entry.overdue_seconds, entry.last_sent_at) == (0.0, None)


def test_beat__solar(stage: Stage) -> None:
    if stage.kind == "redbeat":
        pytest.skip("RedBeat cannot store a solar schedule.")
    try:
        import ephem  # noqa: F401
    except ImportError:
        skip_loudly("ephem is not installed: solar schedules need it.")
    from celery.schedules import solar

    where = {"event": "sunrise", "lat": 48.1, "lon": 11.6}
    stage.schedule = {"often": OFTEN, "sun": {"task": TASK, "schedule": where}}
    started(stage)
    entry = eventually(lambda: stage.entry("sun"), 30)
    rises = solar(**where)
    expected = datetime.now(UTC) + rises.remaining_estimate(datetime.now(UTC))
    assert entry.schedule == schedule_text(rises)
    assert abs((entry.next_due_at - expected).total_seconds()) < 120
    assert (entry.overdue_seconds, entry.last_sent_at) == (0.0, None)
    assert stage.is_well()


@pytest.mark.parametrize("stage", ["database"], indirect=True)
def test_beat__one_off_is_done_when_it_was_sent(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    stage.change_table("once", "once", TASK, "1")
    started(stage)
    eventually(lambda: (e := stage.entry("once")) and e.last_sent_seconds is not None and not e.enabled, 30)
    # Sent once, and late never again.
    always(stage.is_well, stage.pace.watch, interval=0.3)
    sent = stage.entry("once").last_sent_seconds
    assert sent is not None and sent >= stage.pace.watch - 1


# Embedded --------------------------------------------------------------------------------------------


@pytest.fixture
def embedded(stage: Stage, tmp_path: Path, worker_factory: Callable[..., Worker]) -> Callable[..., Worker]:
    """Start workers with ``-B``."""

    def start(number: int = 1, pool: str = "prefork") -> Worker:
        return worker_factory(
            stage.broker.url,
            app="tests.beat.project",
            pool=pool,
            options=["-B", "-s", str(tmp_path / f"schedule-{number}")],
            health=stage.health,
            conf={"beat_schedule": stage.schedule, "beat_max_loop_interval": 1},
            env=stage.env,
        )

    return start


@pytest.mark.parametrize("stage", ["persistent"], indirect=True)
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_embedded__is_one_beat_and_one_worker(
    pool: str, stage: Stage, embedded: Callable[..., Worker]
) -> None:
    stage.schedule = {"often": OFTEN}
    worker = embedded(pool=pool)
    stage.well()
    beat = only_beat(stage)
    assert (beat.state, beat.scheduler) == (BeatState.OK, "celery.beat.PersistentScheduler")
    assert beat.pid != worker.pid
    entry = stage.entry("often")
    assert entry.last_sent_seconds < 5
    # No double, for as long as two would be one.
    always(stage.is_well, 4, interval=0.3)
    # Each has its file; the beat is no worker.
    assert sorted(path.name.split("-")[2] for path in stage.probe_dir.iterdir()) == ["beat", "worker"]
    snapshot = stage.snapshot()
    assert [one.hostname for one in snapshot.workers or ()] == [worker.hostname]


@pytest.mark.parametrize("stage", ["persistent"], indirect=True)
def test_embedded__two_workers_with_one_each_are_doubled(
    stage: Stage, embedded: Callable[..., Worker]
) -> None:
    stage.schedule = {"often": OFTEN}
    embedded(1)
    stage.well()
    embedded(2)
    assert stage.sees("doubled", lambda: stage.warns("beat.alive")).observed == 2


@pytest.mark.parametrize("stage", ["persistent"], indirect=True)
def test_embedded__ends_with_its_worker(stage: Stage, embedded: Callable[..., Worker]) -> None:
    stage.schedule = {"often": OFTEN}
    worker = embedded()
    stage.well()
    assert worker.stop() == 0
    stage.sees("missing", lambda: stage.warns("beat.alive"))
    embedded(2)
    stage.sees("replaced", stage.is_well)


# No database -----------------------------------------------------------------------------------------

WATCHED = """
import sys

def watch(event, arguments):
    if event == "sqlite3.connect":
        print("OPENED", arguments, file=sys.stderr, flush=True)

sys.addaudithook(watch)
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "celery_health", "--json"])
"""


@pytest.mark.parametrize("stage", ["database"], indirect=True)
def test_verdict__opens_no_database_and_reads_no_schedule_table(stage: Stage, tmp_path: Path) -> None:
    # The schedule is in the table alone.
    stage.change_table("add", "often", TASK, "1")
    stage.beat()
    stage.well()
    missing = tmp_path / "nowhere" / "web.sqlite3"
    for database in (missing, stage.database):
        env = project_env(
            stage.broker.url,
            health={**stage.health, "EXPECT_BEAT": True, "DEADLINE": 10},
            env={**stage.env, "CELERY_TEST_DATABASE": str(database)},
        )
        done = subprocess.run(
            [sys.executable, "-c", WATCHED],
            cwd=ROOT,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "OPENED" not in done.stderr, done.stderr
        checks = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
        seen = {name: checks[name]["status"] for name in ("beat.alive", "beat.on_time")}
        assert seen == {"beat.alive": "pass", "beat.on_time": "pass"}, done.stdout
    assert QUICK is stage.pace
    assert stage.entry("often").last_sent_seconds < 5
