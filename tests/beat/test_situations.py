"""What can happen to a beat, with real beats of three schedulers: each situation is seen, and when.

With the suite the limits are a good deal lower than the contract's (see `QUICK`), so that minutes become
seconds. ``make soak`` plays all of it at the defaults, side by side, since most of it is waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from celery_health.records import BeatState
from tests.beat.conftest import DEFAULT, SCHEDULERS, TASK, Stage
from tests.support import eventually

pytestmark = [pytest.mark.slow, pytest.mark.redis]
OFTEN = {"task": TASK, "schedule": 1.0}


def only_beat(stage: Stage) -> Any:
    (beat,) = stage.quick().beats
    return beat


@pytest.mark.smoke
def test_beat__on_time(stage: Stage) -> None:
    stage.schedule = {
        "often": OFTEN,
        "rare": {"task": TASK, "schedule": 3600.0, "options": {"queue": "slow"}},
    }
    stage.beat()
    stage.sees("on time", stage.is_well)

    beat = only_beat(stage)
    assert beat.state is BeatState.OK
    assert beat.scheduler.endswith("Scheduler")
    often, rare = stage.entry("often"), stage.entry("rare")
    assert (often.task, often.queue, often.schedule, often.enabled) == (TASK, "celery", "every 1 s", True)
    assert (rare.queue, rare.schedule, rare.interval_seconds) == ("slow", "every 1 h", 3600.0)
    assert often.last_sent_seconds < 5
    assert rare.last_sent_seconds is None
    assert rare.overdue_seconds == 0.0
    eventually(lambda: 3400 < (stage.entry("rare").next_due_in_seconds or 0) <= 3600)
    # The whole way, as a web process goes it.
    assert stage.snapshot().beats[0].name == beat.name


def test_beat__entry_is_late_while_the_broker_is_down(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    stage.beat()
    stage.well()

    stage.broker.pause()
    late = stage.sees("late", lambda: stage.warns("beat.on_time", "often"))
    assert late.observed > late.limit == stage.settings.limits.overdue_floor_seconds
    # Beat itself waits for its broker: it is late, and after `beat_lost_seconds` it is stuck.
    stage.broker.resume()
    stage.sees("on time again", stage.is_well)


def test_beat__publish_fails(stage: Stage) -> None:
    # A queue that the app may not create: what apply_entry swallows, whatever the cause.
    stage.schedule = {
        "often": OFTEN,
        "lost": {"task": TASK, "schedule": 1.0, "options": {"queue": "nowhere"}},
    }
    stage.beat(task_create_missing_queues=False)
    failing = stage.sees("failing", lambda: stage.warns("beat.on_time", "lost"))
    assert "could not be sent: QueueNotFound" in failing.message
    assert stage.warns("beat.on_time", "often") is None
    entry = stage.entry("lost")
    # The scheduler takes it for run; nobody else should.
    assert entry.last_sent_at is None
    assert entry.last_sent_seconds is None


def test_beat__publish_hangs(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    stage.beat()
    stage.well()

    (stage.control / "hang_publish").touch()
    stage.sees("late", lambda: stage.warns("beat.on_time", "often"))
    stuck = stage.sees("stuck", lambda: stage.warns("beat.alive"))
    assert "is stuck: its scheduler was to wake" in stuck.message
    assert only_beat(stage).state is BeatState.STUCK

    (stage.control / "hang_publish").unlink()
    stage.sees("well again", stage.is_well)


def test_beat__loop_is_wedged(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    stage.beat()
    stage.well()

    (stage.control / "hang_loop").touch()
    stage.sees("late", lambda: stage.warns("beat.on_time", "often"))
    stage.sees("stuck", lambda: stage.warns("beat.alive"))
    (stage.control / "hang_loop").unlink()
    stage.sees("well again", stage.is_well)


def test_beat__killed(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    beat = stage.beat(lock_seconds=5)
    stage.well()

    beat.kill()
    gone = stage.sees("gone", lambda: stage.warns("beat.alive"))
    assert "fell silent" in gone.message
    stage.sees("late", lambda: stage.warns("beat.on_time", "often"))

    stage.beat(lock_seconds=5)
    # RedBeat's lock outlives its holder: the next one waits for it to expire.
    stage.sees("replaced", stage.is_well)
    assert sorted(beat.state.value for beat in stage.quick().beats) == ["gone", "ok"]


def test_beat__killed_in_a_project_whose_web_process_sees_no_schedule(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    beat = stage.beat()
    stage.well()
    beat.kill()
    stage.schedule = {}
    stage.sees("gone", lambda: stage.warns("beat.alive"))


def test_beat__stopped_politely(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    beat = stage.beat()
    stage.well()

    assert beat.stop() == 0
    # Known at once, and no fault yet: a rolling update stops one before it starts the next.
    (result,) = stage.alive()
    assert (result.status.value, only_beat(stage).state) == ("pass", BeatState.STOPPED)
    assert list(stage.probe_dir.iterdir()) == []
    stage.sees("missing", lambda: stage.warns("beat.alive"))


def test_beat__ended_by_an_error_says_no_goodbye(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    beat = stage.beat()
    stage.well()
    (stage.control / "crash").touch()
    assert beat.wait() == 1
    # Known at once; it may be restarted within `beat_lost_seconds`.
    (result,) = stage.alive()
    assert (result.status.value, only_beat(stage).state) == ("pass", BeatState.GONE)
    stage.sees("missing", lambda: stage.warns("beat.alive"))


def test_beat__rolling_update_is_no_double(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    old = stage.beat()
    stage.well()
    old.stop()
    stage.beat()
    stage.sees("replaced", lambda: any(b.state is BeatState.OK for b in stage.quick().beats))
    stage.well()
    assert sorted(beat.state.value for beat in stage.quick().beats) == ["ok", "stopped"]


def test_beat__doubled(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    stage.beat(lock_seconds=None)
    stage.well()
    second = stage.beat(lock_seconds=None)
    doubled = stage.sees("doubled", lambda: stage.warns("beat.alive"))
    assert doubled.observed == 2
    assert "Tasks are sent more than once" in doubled.message
    second.stop()
    stage.sees("single again", lambda: stage.warns("beat.alive") is None)


@pytest.mark.parametrize("stage", ["redbeat"], indirect=True)
def test_beat__standby_is_no_double_and_takes_over(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    first = stage.beat(lock_seconds=5)
    stage.well()
    # It waits for the lock before it says that it has started.
    stage.beat()
    states = stage.sees(
        "standby", lambda: {b.state for b in stage.quick().beats} == {BeatState.OK, BeatState.STANDBY}
    )
    assert states
    assert stage.is_well()
    first.kill()
    stage.sees("taken over", lambda: stage.quick().beats and stage.is_well() and _is_led_anew(stage))


def _is_led_anew(stage: Stage) -> bool:
    return sorted(beat.state.value for beat in stage.quick().beats) == ["gone", "ok"]


def test_beat__never_started(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    stage.write_something()
    assert [result.status.value for result in stage.alive()] == ["unknown"]
    never = stage.sees("never seen", lambda: stage.warns("beat.alive"))
    assert never.message == "There is a schedule, and no beat was ever seen."


def test_beat__disabled_entry_is_not_late(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN, "other": {"task": TASK, "schedule": 2.0}}
    beat = stage.beat()
    stage.well()
    if stage.kind == "persistent":
        # It knows no switch: who wants an entry no more takes it out and restarts beat.
        beat.stop()
        del stage.schedule["other"]
        stage.beat()
        stage.sees("gone from the list", lambda: stage.is_well() and stage.entry("other") is None)
        return
    if stage.kind == "database":
        stage.change_table("disable", "other")
    else:
        from redbeat import RedBeatSchedulerEntry

        entry = RedBeatSchedulerEntry.from_key("redbeat:other", app=stage.redbeat_app())
        entry.enabled = False
        entry.save()
    stage.sees("switched off", lambda: stage.entry("other") and not stage.entry("other").enabled, factor=1.5)
    until = time.monotonic() + stage.pace.watch
    while time.monotonic() < until:
        assert stage.is_well()
        time.sleep(stage.pace.interval)


def test_beat__entry_added_at_run_time(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    beat = stage.beat()
    stage.well()
    assert stage.entry("new") is None
    if stage.kind == "persistent":
        beat.stop()
        stage.schedule["new"] = OFTEN
        stage.beat()
    elif stage.kind == "database":
        stage.change_table("add", "new", TASK, "1")
    else:
        from celery.schedules import schedule
        from redbeat import RedBeatSchedulerEntry

        RedBeatSchedulerEntry("new", TASK, schedule(1.0), app=stage.redbeat_app()).save()
    stage.sees("added", lambda: (e := stage.entry("new")) and e.last_sent_seconds is not None, factor=1.5)
    assert stage.is_well()


@pytest.mark.soak  # it waits for a minute to be full
def test_beat__daily_run_missed_between_two_beats(stage: Stage) -> None:
    ahead, now = stage.pace.ahead, time.time()
    # The next full minute that is far enough away for a beat to start before it.
    due_at = (now + ahead) // 60 * 60 + 60
    until_due = due_at - now
    if stage.kind != "database":
        # Its crontabs know the machine's clock alone, whatever the app's says.
        (stage.control / "offset").write_text(str(until_due - ahead))
        until_due = ahead
    due = datetime.fromtimestamp(due_at, UTC)
    stage.schedule = {"often": OFTEN, "daily": {"task": TASK, "schedule": crontab_fields(due)}}
    first = stage.beat(timezone="UTC", lock_seconds=5)
    stage.well()
    assert 0 < stage.entry("daily").next_due_in_seconds < until_due
    first.kill()
    eventually(lambda: (stage.entry("daily").next_due_in_seconds or 0) < -1, until_due + 15)
    stage.beat(timezone="UTC")
    eventually(lambda: _is_led_anew(stage), stage.pace.start + 120, interval=stage.pace.interval)
    if stage.kind == "redbeat":
        # It keeps in Redis when each entry last ran, and makes up for it.
        stage.sees("made up for", lambda: stage.entry("daily").last_sent_seconds is not None)
        return
    # The others start as if what never ran had just run.
    missed = stage.sees("missed", lambda: stage.warns("beat.on_time", "daily"))
    assert "It was due while no beat ran, and beat has forgotten it." in missed.message
    assert stage.warns("beat.on_time", "often") is None


def crontab_fields(moment: datetime) -> dict[str, int]:
    """Return the fields of a crontab that is due daily at a minute, for the test project to make one of."""
    return {"minute": moment.minute, "hour": moment.hour}


def test_beat__clock_set_back(stage: Stage) -> None:
    stage.schedule = {"often": OFTEN}
    stage.beat()
    stage.well()
    # Beat now takes its entries for due in an hour, and says nothing.
    (stage.control / "offset").write_text("-3600")
    late = stage.sees("late", lambda: stage.warns("beat.on_time", "often"))
    assert late.observed > late.limit
    (stage.control / "offset").write_text("0")
    stage.sees("on time again", stage.is_well)


# At the default limits -------------------------------------------------------------------------------

SITUATIONS: tuple[Callable[[Stage], None], ...] = (
    test_beat__on_time,
    test_beat__entry_is_late_while_the_broker_is_down,
    test_beat__publish_fails,
    test_beat__publish_hangs,
    test_beat__loop_is_wedged,
    test_beat__killed,
    test_beat__killed_in_a_project_whose_web_process_sees_no_schedule,
    test_beat__stopped_politely,
    test_beat__ended_by_an_error_says_no_goodbye,
    test_beat__rolling_update_is_no_double,
    test_beat__doubled,
    test_beat__never_started,
    test_beat__disabled_entry_is_not_late,
    test_beat__entry_added_at_run_time,
    test_beat__daily_run_missed_between_two_beats,
    test_beat__clock_set_back,
)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_beat__every_situation_at_the_default_limits(
    kind: str, tmp_path: Path, make_stage: Callable[..., Stage]
) -> None:
    situations = [*SITUATIONS, *([test_beat__standby_is_no_double_and_takes_over] * (kind == "redbeat"))]
    stages = []
    for number, _ in enumerate(situations):
        folder = tmp_path / str(number)
        folder.mkdir()
        stages.append(make_stage(kind, folder, DEFAULT))
    with ThreadPoolExecutor(len(situations)) as pool:
        played = [pool.submit(play, stage) for play, stage in zip(situations, stages, strict=True)]
    failed = []
    for play, stage, outcome in zip(situations, stages, played, strict=True):
        error = outcome.exception()
        name = play.__name__.removeprefix("test_beat__")
        print(f"SEEN {kind} | {name} | {stage.seconds} | {'failed' if error else 'as it should be'}")
        if error is not None:
            failed.append(f"{name}: {type(error).__name__}: {error}")
    assert not failed, "\n".join(failed)
