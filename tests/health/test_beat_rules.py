"""beat.alive and beat.on_time over hand-made beats: a row is a situation, its comment says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from celery_health.conf import Limits, Settings
from celery_health.health.beat import BeatAlive, BeatOnTime, overdue_limit
from celery_health.records import AppFacts, Beat, BeatState, CheckResult, Snapshot, StoreState
from celery_health.testing import make_beat, make_entry, make_snapshot

STORE = StoreState(configured=True, reachable=True, url="redis://localhost:6379/0")
DAY = 86400.0
HOUR = 3600.0


def snapshot(*beats: Beat, **changes: Any) -> Snapshot:
    defaults: dict[str, Any] = {"store": STORE, "schedule_exists": True, "store_age_seconds": 10 * DAY}
    return make_snapshot(beats=beats, **{**defaults, **changes})


def statuses(results: Any) -> list[tuple[str | None, str]]:
    return [(result.subject, result.status.value) for result in results]


def alive(shot: Snapshot, settings: Settings | None = None) -> list[CheckResult]:
    return list(BeatAlive().judge(shot, settings or Settings()))


def on_time(shot: Snapshot, settings: Settings | None = None) -> list[CheckResult]:
    return list(BeatOnTime().judge(shot, settings or Settings()))


A, B = "celerybeat@a-1", "celerybeat@b-1"
EXPECTED = Settings(expect_beat=True)
NOT_EXPECTED = Settings(expect_beat=False)


def ended(name: str = A, *, seconds: float, **changes: Any) -> Beat:
    """Return a beat that was last heard so long ago."""
    defaults = {"state": BeatState.GONE, "last_seen_seconds": seconds, "last_sent_seconds": seconds + 5}
    entries = (make_entry(beat=name, overdue_seconds=max(0.0, seconds - 55)),)
    return make_beat(name, **{**defaults, "entries": entries, **changes})


ALIVE_TABLE = [
    # It ticks.
    (snapshot(make_beat(A)), Settings(), [(None, "pass")]),
    # Nobody wrote a schedule, and nobody runs a beat: that is right.
    (snapshot(schedule_exists=False), Settings(), [(None, "pass")]),
    # There may be one in a table, which no verdict reads; nobody can say.
    (snapshot(schedule_exists=None), Settings(), [(None, "unknown")]),
    # A schedule, and in ten days no beat: nothing of it was ever sent.
    (snapshot(), Settings(), [(None, "warn")]),
    # Deployed five minutes ago: beat may come last.
    (snapshot(store_age_seconds=300.0), Settings(), [(None, "unknown")]),
    (snapshot(store_age_seconds=600.0), Settings(), [(None, "unknown")]),
    (snapshot(store_age_seconds=601.0), Settings(), [(None, "warn")]),
    # Nothing ever reported: since when there is no beat cannot be known.
    (snapshot(store_age_seconds=None), Settings(), [(None, "unknown")]),
    # It is expected although the settings hold no schedule: one in a table.
    (snapshot(schedule_exists=None), EXPECTED, [(None, "warn")]),
    (snapshot(schedule_exists=False), EXPECTED, [(None, "warn")]),
    # Another project's beat sends this schedule, they say.
    (snapshot(), NOT_EXPECTED, [(None, "off")]),
    (snapshot(ended(seconds=2 * DAY)), NOT_EXPECTED, [(None, "off")]),
    # It died on Friday, and this is Sunday.
    (snapshot(ended(seconds=2 * DAY)), Settings(), [(A, "warn")]),
    # The same of one that said goodbye and was not replaced.
    (snapshot(ended(seconds=2 * DAY, state=BeatState.STOPPED)), Settings(), [(A, "warn")]),
    # Silent for a while: it is not proven gone, and never said to be well.
    (snapshot(make_beat(A, state=BeatState.UNKNOWN, last_seen_seconds=100.0)), Settings(), [(A, "unknown")]),
    (snapshot(ended(seconds=121)), Settings(), [(A, "warn")]),
    # A rolling update: the old one said goodbye a minute ago, the new one is about to start.
    (snapshot(ended(seconds=60, state=BeatState.STOPPED)), Settings(), [(A, "pass")]),
    # An error ended it just now; it has its two minutes to be restarted, as if it had been killed.
    (snapshot(ended(seconds=10)), Settings(), [(A, "pass")]),
    # Replaced, after it was killed as after it said goodbye: what is dead is no news.
    (snapshot(ended(seconds=2 * DAY), make_beat(B)), Settings(), [(None, "pass")]),
    (snapshot(ended(seconds=20, state=BeatState.STOPPED), make_beat(B)), Settings(), [(None, "pass")]),
    # Its schedule was taken out of the settings, and it was stopped as it should be.
    (
        snapshot(ended(seconds=DAY, state=BeatState.STOPPED), schedule_exists=False),
        Settings(),
        [(A, "pass")],
    ),
    # The same settings, but its schedule is in a table: that goes on, and nobody sends it.
    (
        snapshot(ended(seconds=DAY, state=BeatState.STOPPED, stored_outside=True), schedule_exists=False),
        Settings(),
        [(A, "warn")],
    ),
    # Killed, so it was to go on, whatever the settings of this process say.
    (snapshot(ended(seconds=DAY), schedule_exists=False), Settings(), [(A, "warn")]),
    # It lives, and its scheduler does not.
    (snapshot(make_beat(A, state=BeatState.STUCK, late_seconds=130.0)), Settings(), [(A, "warn")]),
    # One is stuck, the other sends.
    (snapshot(make_beat(A, state=BeatState.STUCK), make_beat(B)), Settings(), [(None, "pass")]),
    # A standby beside the one that holds the lock is neither missing nor one too many.
    (snapshot(make_beat(A), make_beat(B, state=BeatState.STANDBY)), Settings(), [(None, "pass")]),
    # The holder died, and the lock has not expired: nobody sends.
    (
        snapshot(ended(seconds=200), make_beat(B, state=BeatState.STANDBY)),
        Settings(),
        [(A, "warn")],
    ),
    # Nobody but a standby was ever seen.
    (snapshot(make_beat(B, state=BeatState.STANDBY)), Settings(), [(None, "warn")]),
    # Two for an hour, both sending: everything is done twice.
    (
        snapshot(make_beat(A), make_beat(B, entries=(make_entry(beat=B),))),
        Settings(),
        [(None, "pass"), (f"{A}, {B}", "warn")],
    ),
    # The second has sent nothing for over a minute: not both within 60 s.
    (snapshot(make_beat(A), make_beat(B, last_sent_seconds=61.0)), Settings(), [(None, "pass")]),
    (snapshot(make_beat(A), make_beat(B, last_sent_seconds=None)), Settings(), [(None, "pass")]),
    # Killed and replaced within seconds: the first has sent nothing since the second started.
    (
        snapshot(
            make_beat(A, last_sent_seconds=12.0), make_beat(B, uptime_seconds=6.0, last_sent_seconds=3.0)
        ),
        Settings(),
        [(None, "pass")],
    ),
    # A rolling update that leaves both running: while it lasts, tasks are sent twice.
    (
        snapshot(
            make_beat(A, last_sent_seconds=2.0), make_beat(B, uptime_seconds=6.0, last_sent_seconds=3.0)
        ),
        Settings(),
        [(None, "pass"), (f"{A}, {B}", "warn")],
    ),
    # Two beats with a schedule each.
    (
        snapshot(make_beat(A), make_beat(B, entries=(make_entry("other", beat=B),))),
        Settings(),
        [(None, "pass")],
    ),
    # What they hold is unknown, and both send: better to look.
    (
        snapshot(make_beat(A), make_beat(B, entries=None)),
        Settings(),
        [(None, "pass"), (f"{A}, {B}", "warn")],
    ),
    # None should run here, but two do.
    (
        snapshot(make_beat(A), make_beat(B)),
        NOT_EXPECTED,
        [(None, "pass"), (f"{A}, {B}", "warn")],
    ),
    # Limits of the project's own.
    (
        snapshot(ended(seconds=121)),
        Settings(limits=Limits(beat_lost_seconds=300)),
        [(A, "pass")],
    ),
    # Nobody wants to know, with and without a store.
    (snapshot(store=StoreState(configured=False)), NOT_EXPECTED, [(None, "off")]),
    # Without a store, and while it is away, nothing is known.
    (snapshot(store=StoreState(configured=False)), Settings(), [(None, "unsupported")]),
    (
        snapshot(store=StoreState(configured=True, reachable=False, error="refused")),
        Settings(),
        [(None, "unknown")],
    ),
    # Tasks run in place.
    (
        snapshot(app=AppFacts(app_id="proj", name="proj", always_eager=True)),
        Settings(),
        [(None, "unsupported")],
    ),
]


@pytest.mark.parametrize(("shot", "settings", "expected"), ALIVE_TABLE)
def test_beat_alive__table(
    shot: Snapshot, settings: Settings, expected: list[tuple[str | None, str]]
) -> None:
    assert statuses(alive(shot, settings)) == expected


def test_beat_alive__says_what_to_do() -> None:
    (died,) = alive(snapshot(ended(seconds=2 * DAY)))
    assert died.message == f"Beat '{A}' fell silent 2 days ago, and no other sends the schedule."
    assert died.recommendation == f"{died.message} Start one: celery -A proj beat"
    assert (died.observed, died.limit, died.unit) == (2 * DAY, 120, "seconds")

    (unseen,) = alive(snapshot())
    assert unseen.recommendation is not None
    assert "celery -A proj beat" in unseen.recommendation
    assert "EXPECT_BEAT" in unseen.recommendation

    stuck = make_beat(A, state=BeatState.STUCK, late_seconds=130.0)
    assert "its scheduler was to wake 130 s ago" in alive(snapshot(stuck))[0].message


def late(entry: str = "sync", *, seconds: float, **changes: Any) -> Beat:
    """Return a living beat with one entry that late."""
    return make_beat(A, entries=(make_entry(entry, beat=A, overdue_seconds=seconds, **changes),))


ON_TIME_TABLE = [
    # In time.
    (snapshot(make_beat(A)), Settings(), [(None, "pass")]),
    # Its interval is a minute: after another minute it is overdue.
    (snapshot(late(seconds=60.0)), Settings(), [(None, "pass")]),
    (snapshot(late(seconds=60.1)), Settings(), [("sync", "warn")]),
    # Every second: a minute is the least.
    (snapshot(late(seconds=59.0, interval_seconds=1.0)), Settings(), [(None, "pass")]),
    (snapshot(late(seconds=61.0, interval_seconds=1.0)), Settings(), [("sync", "warn")]),
    # Daily: ten minutes are the most.
    (snapshot(late(seconds=599.0, interval_seconds=DAY)), Settings(), [(None, "pass")]),
    (snapshot(late(seconds=601.0, interval_seconds=DAY)), Settings(), [("sync", "warn")]),
    # Once in its life, or nobody knows how often.
    (snapshot(late(seconds=601.0, interval_seconds=None)), Settings(), [("sync", "warn")]),
    # Switched off.
    (snapshot(late(seconds=9999.0, enabled=False)), Settings(), [(None, "pass")]),
    # Listed from a table, and not in what beat works through: nobody can judge it.
    (snapshot(make_beat(A, entries=(make_entry(overdue_seconds=None),))), Settings(), [(None, "pass")]),
    # An empty schedule is in time.
    (snapshot(make_beat(A, entries=())), Settings(), [(None, "pass")]),
    # A scheduler that shows nothing of itself.
    (snapshot(make_beat(A, entries=None)), Settings(), [(None, "unknown")]),
    # No beat, no schedule.
    (snapshot(schedule_exists=False), Settings(), [(None, "pass")]),
    # No beat: that is beat.alive's to say. What is late, nobody knows.
    (snapshot(), Settings(), [(None, "unknown")]),
    # The one beat died: its entries fall due one by one.
    (snapshot(ended(seconds=100)), Settings(), [(None, "pass")]),
    (snapshot(ended(seconds=2 * DAY)), Settings(), [("sync", "warn")]),
    # It was stopped together with its schedule.
    (
        snapshot(ended(seconds=DAY, state=BeatState.STOPPED), schedule_exists=False),
        Settings(),
        [(None, "pass")],
    ),
    # None should run here.
    (snapshot(ended(seconds=DAY)), NOT_EXPECTED, [(None, "off")]),
    # It died and was replaced: the entries are the new one's.
    (
        snapshot(
            ended(seconds=2 * DAY),
            make_beat(B, uptime_seconds=DAY, entries=(make_entry(beat=B),)),
        ),
        Settings(),
        [(None, "pass")],
    ),
    # A standby holds the same entries and sends none: only the holder's count.
    (
        snapshot(make_beat(A), make_beat(B, state=BeatState.STANDBY, entries=late(seconds=9999.0).entries)),
        Settings(),
        [(None, "pass")],
    ),
    # Two beats, one of which is stuck: the other sends the entry.
    (snapshot(late(seconds=9999.0), make_beat(B)), Settings(), [(None, "pass")]),
    # Stuck, and silent not long enough to be gone: as late as it said itself.
    (
        snapshot(
            make_beat(
                A,
                state=BeatState.UNKNOWN,
                last_seen_seconds=90.0,
                entries=(make_entry(beat=A, overdue_seconds=10.0),),
            )
        ),
        Settings(),
        [(None, "pass")],
    ),
    # Bounds of the project's own.
    (
        snapshot(late(seconds=11.0, interval_seconds=1.0)),
        Settings(limits=Limits(overdue_floor_seconds=10)),
        [("sync", "warn")],
    ),
    (
        snapshot(late(seconds=601.0, interval_seconds=DAY)),
        Settings(limits=Limits(overdue_seconds=HOUR)),
        [(None, "pass")],
    ),
    # Nobody wants to know, with and without a store.
    (snapshot(), NOT_EXPECTED, [(None, "off")]),
    (snapshot(store=StoreState(configured=False)), NOT_EXPECTED, [(None, "off")]),
    # Without a store nothing is known.
    (snapshot(store=StoreState(configured=False)), Settings(), [(None, "unsupported")]),
]


@pytest.mark.parametrize(("shot", "settings", "expected"), ON_TIME_TABLE)
def test_beat_on_time__table(
    shot: Snapshot, settings: Settings, expected: list[tuple[str | None, str]]
) -> None:
    assert statuses(on_time(shot, settings)) == expected


def daily(beat: str, **changes: Any) -> Any:
    defaults = {
        "task": "proj.tasks.report",
        "schedule": "0 4 * * *",
        "interval_seconds": None,
        "last_sent_seconds": None,
        "next_due_in_seconds": 20 * HOUR,
    }
    return make_entry("report", beat=beat, **{**defaults, **changes})


# It died at 3:50, the report was due at 4:00, its successor came at 4:10, and now it is 6:00.
DIED = ended(A, seconds=HOUR * 2 + 600, entries=(daily(A, overdue_seconds=HOUR * 2),))
FORGETFUL = {"uptime_seconds": HOUR * 2 - 600}
DUE = datetime(2026, 1, 28, 4, 0, tzinfo=UTC)

MISSED_TABLE = [
    # The successor's schedule file was new: it takes the report for sent, and waits until tomorrow.
    (DIED, make_beat(B, entries=(daily(B),), **FORGETFUL), [("report", "warn")]),
    # It has made up for it.
    (DIED, make_beat(B, entries=(daily(B, last_sent_seconds=HOUR),), **FORGETFUL), [(None, "pass")]),
    # It starts just now, and is about to.
    (DIED, make_beat(B, uptime_seconds=5.0, entries=(daily(B, next_due_in_seconds=0.0),)), [(None, "pass")]),
    # So often that the next run makes up for it.
    (
        ended(A, seconds=HOUR, entries=(daily(A, overdue_seconds=HOUR, schedule="every 1 s"),)),
        make_beat(
            B,
            uptime_seconds=2.0,
            entries=(daily(B, schedule="every 1 s", next_due_in_seconds=0.5, last_sent_seconds=None),),
        ),
        [(None, "pass")],
    ),
    # A table remembers that somebody sent it meanwhile.
    (
        ended(A, seconds=HOUR * 3, entries=(daily(A, overdue_seconds=HOUR * 2, next_due_at=DUE),)),
        make_beat(B, entries=(daily(B, last_sent_at=DUE),), **FORGETFUL),
        [(None, "pass")],
    ),
    # Both ran at four: the one that died later was to send it, and the other did.
    (DIED, make_beat(B, uptime_seconds=DAY, entries=(daily(B),)), [(None, "pass")]),
    # The new version sends it at another hour, ...
    (DIED, make_beat(B, entries=(daily(B, schedule="0 16 * * *"),), **FORGETFUL), [(None, "pass")]),
    # ... not at all, or keeps it switched off.
    (DIED, make_beat(B, **FORGETFUL), [(None, "pass")]),
    (DIED, make_beat(B, entries=(daily(B, enabled=False),), **FORGETFUL), [(None, "pass")]),
    # After a day everybody knows, or nobody will.
    (
        ended(A, seconds=30 * HOUR, entries=(daily(A, overdue_seconds=29 * HOUR),)),
        make_beat(B, uptime_seconds=28 * HOUR, entries=(daily(B),)),
        [(None, "pass")],
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), MISSED_TABLE)
def test_beat_on_time__runs_missed_between_two_beats(
    before: Beat, after: Beat, expected: list[tuple[str | None, str]]
) -> None:
    assert statuses(on_time(snapshot(before, after))) == expected


def test_beat_on_time__says_why_and_what_to_do() -> None:
    error = "OperationalError: Error 111 connecting to redis:6379. Connection refused."
    (failing,) = on_time(snapshot(late(seconds=75.0, last_error=error)))
    assert failing.message == (
        f"Entry 'sync' (proj.tasks.sync) is overdue by 75 seconds. It could not be sent: {error}"
    )
    assert (failing.observed, failing.limit, failing.unit) == (75.0, 60.0, "seconds")

    (dead,) = on_time(snapshot(ended(seconds=2 * DAY)))
    assert dead.recommendation is not None
    assert "celery -A proj beat" in dead.recommendation

    (missed,) = on_time(snapshot(DIED, make_beat(B, entries=(daily(B),), **FORGETFUL)))
    assert missed.message.endswith("It was due while no beat ran, and beat has forgotten it.")
    assert "schedule file" in (missed.recommendation or "")

    (stuck,) = on_time(snapshot(late(seconds=75.0)))
    assert "restart it" in (stuck.recommendation or "")


def test_beat_on_time__names_the_latest_and_counts_the_rest() -> None:
    entries = tuple(make_entry(f"e{i:03}", beat=A, overdue_seconds=1000.0 + i) for i in range(50))
    *named, rest = on_time(snapshot(make_beat(A, entries=entries)))
    assert [result.subject for result in named] == [f"e{i:03}" for i in range(49, 29, -1)]
    assert (rest.subject, rest.observed, rest.unit) == (None, 30, "entries")
    assert rest.message == "30 more entries are overdue."


@pytest.mark.parametrize(
    ("interval", "limit"), [(None, 600), (1.0, 60), (60.0, 60), (90.0, 90), (600.0, 600), (DAY, 600)]
)
def test_overdue_limit__is_the_interval_within_bounds(interval: float | None, limit: float) -> None:
    assert overdue_limit(make_entry(interval_seconds=interval), Limits()) == limit
