"""``schedule/``: one row per entry, field by field, and the beats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from celery_health.api.schedule import beat_row, entry_row
from celery_health.records import Beat, BeatState, ScheduleEntryState
from celery_health.testing import make_beat, make_entry, make_snapshot
from tests.api.conftest import PREFIX, Celery
from tests.api.test_docs import codes, section
from tests.api.test_workers_and_queues import ENVELOPE

NAME = "celerybeat@host-1"
SENT = datetime(2026, 1, 28, 9, 59, tzinfo=UTC)
FULL_ENTRY = make_entry(
    beat=NAME,
    last_sent_at=SENT,
    next_due_at=SENT + timedelta(minutes=1),
    overdue_seconds=61.23456,
    last_error="OperationalError: Connection refused",
)
FULL_ENTRY_ROW = {
    "entry": "sync",
    "task": "proj.tasks.sync",
    "queue": "celery",
    "schedule": "every 1 min",
    "last_sent_at": "2026-01-28T09:59:00.000Z",
    "next_due_at": "2026-01-28T10:00:00.000Z",
    "overdue_seconds": 61.235,
    "enabled": True,
    "last_error": "OperationalError: Connection refused",
    "beat": NAME,
}
FULL_BEAT = make_beat(
    NAME,
    scheduler="celery.beat.PersistentScheduler",
    started_at=SENT,
    last_seen_seconds=1.23456,
    entries=(FULL_ENTRY,),
    versions={"celery": "5.7.0"},
)
FULL_BEAT_ROW = {
    "name": NAME,
    "state": "ok",
    "scheduler": "celery.beat.PersistentScheduler",
    "started_at": "2026-01-28T09:59:00.000Z",
    "last_seen_seconds": 1.235,
    "last_sent_seconds": 5.0,
    "versions": {"celery": "5.7.0"},
}


@pytest.fixture
def answer(staff: Client, celery: Celery) -> Any:
    """Return the answer over these beats."""

    def answer(*beats: Beat, query: str = "") -> Any:
        celery.snapshot = make_snapshot(beats=beats)
        response = staff.get(f"{PREFIX}schedule/{query}")
        assert response.status_code == 200
        return response.json()

    return answer


def test_schedule__field_by_field(answer: Any) -> None:
    assert answer(FULL_BEAT) == {
        "schedule": [FULL_ENTRY_ROW],
        "count": 1,
        "beats": [FULL_BEAT_ROW],
        **ENVELOPE,
    }


def test_schedule__unknown_is_null(answer: Any) -> None:
    entry = ScheduleEntryState(entry="x", task="t", beat=NAME)
    (row,) = answer(Beat(name=NAME, state=BeatState.OK, entries=(entry,)))["schedule"]

    known = {"entry": "x", "task": "t", "beat": NAME, "enabled": True}
    assert row == {**dict.fromkeys(FULL_ENTRY_ROW), **known}


def test_schedule__without_beat_its_length_is_unknown(answer: Any) -> None:
    body = answer()
    assert (body["schedule"], body["count"], body["beats"]) == ([], None, [])

    # A beat whose schedule is empty is another matter.
    assert answer(make_beat(NAME, entries=(), entries_total=0))["count"] == 0


def test_schedule__of_a_dead_beat_is_still_there_and_late(answer: Any) -> None:
    late = make_entry(beat=NAME, overdue_seconds=172_745.0)
    body = answer(make_beat(NAME, state=BeatState.GONE, last_seen_seconds=172_800.0, entries=(late,)))
    assert body["beats"][0]["state"] == "gone"
    assert body["schedule"][0]["overdue_seconds"] == 172_745.0


def test_schedule__filter_and_limit(answer: Any) -> None:
    entries = tuple(make_entry(f"e{n}", beat=NAME, task=f"t{n % 2}", queue=f"q{n % 3}") for n in range(6))
    beat = make_beat(NAME, entries=entries, entries_total=6)

    def names(query: str) -> tuple[list[str], int | None, bool]:
        body = answer(beat, query=query)
        return [row["entry"] for row in body["schedule"]], body["count"], body["truncated"]

    assert names("") == ([f"e{n}" for n in range(6)], 6, False)
    assert names("?task=t1") == (["e1", "e3", "e5"], 3, False)
    assert names("?task=t1&queue=q0") == (["e3"], 1, False)
    assert names("?limit=2") == (["e0", "e1"], 6, True)


def test_schedule__beat_lists_only_so_many(answer: Any) -> None:
    beat = make_beat(NAME, entries=(FULL_ENTRY,), entries_total=2500)
    body = answer(beat)
    assert (len(body["schedule"]), body["count"], body["truncated"]) == (1, 2500, True)
    # Of one task there may be more among those that it does not list.
    assert answer(beat, query="?task=proj.tasks.sync")["count"] is None


def test_schedule__docs_list_the_fields() -> None:
    text = section("`schedule/`")
    entries, beats = text.split("for each entry:")[1].split("`last_sent_at` is when")
    assert [name for name in codes(entries) if " " not in name] == list(entry_row(FULL_ENTRY))
    listed = codes(beats.split("ever reported:")[1].split(". The entries")[0])
    states = [state.value for state in BeatState]
    assert [name for name in listed if name in states] == states
    assert [name for name in listed if name not in states] == list(beat_row(FULL_BEAT))
