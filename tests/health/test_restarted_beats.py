"""Entries that no beat lives long enough to send: a row is a situation, its comment says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_health.conf import Settings
from celery_health.health.beat import BeatOnTime
from celery_health.reading.restarted_beats import with_unsent
from celery_health.records import Beat, CheckResult, StoreState
from celery_health.records.beats import fingerprint
from celery_health.store.base import StoredEntry
from celery_health.testing import make_beat, make_entry, make_snapshot
from tests.cases.beats import HOUR, lives


def judged(*beats: Beat) -> list[CheckResult]:
    store = StoreState(configured=True, reachable=True, url="redis://localhost:6379/0")
    shot = make_snapshot(beats=beats, store=store, schedule_exists=True, store_age_seconds=10 * 86400.0)
    return list(BeatOnTime().judge(shot, Settings()))


TABLE = [
    # Every 20 minutes a new beat: an hourly entry is never sent.
    (lives(5400, 4200, 3000, 1800, 600, unsent=2 * HOUR), "warn", 5),
    # Restarted every half minute, an entry every minute: each beat says that it is soon due.
    (lives(120, 90, 60, 30, 5, interval=60, unsent=200), "warn", 5),
    # It is late by less than an entry may be.
    (lives(3900, 2700, 1500, 300, unsent=HOUR + 500), "pass", 0),
    # Deployed once, just before it was due: it is sent within the hour.
    (lives(9000, 1800, unsent=HOUR + 1700), "pass", 0),
    # The same, and the new beat has not sent it when two hours are over: what it says itself counts.
    (lives(9000, 3500, unsent=2 * HOUR + 1200, interval=HOUR), "warn", 0),
    # Its beat remembers: it is due when it would have been.
    (lives(5400, 3000, 600, unsent=HOUR + 900, next_due_in_seconds=30.0), "pass", 0),
    # Of a crontab no start moves the time.
    (lives(5400, 3000, 600, unsent=2 * HOUR, schedule="0 * * * *", next_due_in_seconds=1200.0), "pass", 0),
    # Switched off.
    (lives(5400, 3000, 600, unsent=2 * HOUR, enabled=False), "pass", 0),
    # An earlier version's store: what an ended beat has left is all that is known.
    (lives(5400, 3000, 600, unsent=None), "warn", 0),
    (lives(120, 90, 60, 30, 5, interval=200, unsent=None), "pass", 0),
    # All these began before it was sent the last time.
    (lives(5400, 3000, 2000, unsent=900), "pass", 0),
]


@pytest.mark.parametrize(("beats", "status", "restarts"), TABLE)
def test_on_time__knows_what_no_beat_remembers(beats: list[Beat], status: str, restarts: int) -> None:
    (result,) = judged(*beats)

    assert result.status.value == status, result.message
    assert (f"Beat has started {restarts} times since" in result.message) is (restarts > 0)


def test_on_time__says_why_and_what_to_do() -> None:
    (result,) = judged(*lives(5400, 4200, 3000, 1800, 600, unsent=2 * HOUR))

    assert result.observed == HOUR
    assert result.message.endswith("and counted its interval of 3600 s anew each time.")
    assert "-s, beat_schedule_filename" in (result.recommendation or "")


def test_on_time__is_the_same_between_two_beats_and_before_one_has_told_anything() -> None:
    beats = lives(5400, 4200, 3000, 1800, 600, unsent=2 * HOUR)
    new = make_beat("celerybeat@a-9", uptime_seconds=1.0, entries=None, last_sent_seconds=None)

    for these, starts in ((beats[:-1], 4), ([*beats[:-1], new], 5)):
        (result,) = judged(*these)
        assert f"Beat has started {starts} times" in result.message


@pytest.mark.parametrize(
    ("kept", "unsent"),
    [
        (StoredEntry(fingerprint="", listed_seconds=50.0, done_seconds=None), 50.0),
        (StoredEntry(fingerprint="", listed_seconds=900.0, done_seconds=7.0), 7.0),
        # Sent before beats came back from a long absence: that time is not beat's.
        (StoredEntry(fingerprint="", listed_seconds=5.0, done_seconds=900.0), 5.0),
        # Another schedule under the same name.
        (StoredEntry(fingerprint="abc", listed_seconds=900.0, done_seconds=900.0), None),
    ],
)
def test_unsent__is_since_it_was_sent_or_appeared(kept: StoredEntry, unsent: float | None) -> None:
    entry = make_entry(schedule="every 1 h")
    own = fingerprint(entry.task, entry.schedule, True)
    kept = replace(kept, fingerprint=kept.fingerprint or own)

    (beat,) = with_unsent([make_beat(entries=(entry,))], {entry.entry: kept})

    assert beat.entries is not None
    assert beat.entries[0].unsent_seconds == unsent
