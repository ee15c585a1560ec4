"""What a worker is doing, by its record: a row is a record, its comment says why the state is right."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.conf import Limits
from celery_health.reading.worker_states import recorded_state
from celery_health.records import WorkerState

WELL: dict[str, Any] = {
    "connected": True,
    "looping": True,
    "can_consume": True,
    "paused": False,
    "loop_age_seconds": 0.1,
    "read_age_seconds": 0.2,
    "progress_age_seconds": 3.0,
    "active_count": 0,
    "concurrency": 4,
}

STATES = [
    # All is well.
    ({}, 1.0, "ok"),
    # Each slot is taken, more may be fetched.
    ({"active_count": 4}, 1.0, "busy"),
    # It holds all it may: it reads nothing for as long as its tasks take, and is well.
    ({"active_count": 4, "can_consume": False, "read_age_seconds": 900.0}, 1.0, "saturated"),
    ({"active_count": 4, "reserved_count": 12, "prefetch_count": 16}, 1.0, "saturated"),
    # Unlimited prefetch is never full.
    ({"active_count": 4, "reserved_count": 12, "prefetch_count": 0}, 1.0, "busy"),
    # Told to stop: whatever else it does not do is meant.
    ({"draining": True, "read_age_seconds": 900.0, "loop_age_seconds": 900.0}, 1.0, "draining"),
    # The broker is away from it.
    ({"connected": False, "read_age_seconds": 900.0}, 1.0, "reconnecting"),
    # Its loop should turn and does not.
    ({"loop_age_seconds": 61.0}, 1.0, "stuck"),
    # At the limit is not over it.
    ({"loop_age_seconds": 60.0}, 1.0, "ok"),
    # Solo and gevent under load: the loop need not turn.
    ({"looping": False, "loop_age_seconds": 900.0, "read_age_seconds": 900.0}, 1.0, "ok"),
    # It lives, may read, and has not: the zombie of FACTS 2.
    ({"read_age_seconds": 61.0}, 1.0, "not_consuming"),
    # Told to consume nothing (cancel_consumer): it lives, and takes nothing.
    ({"paused": True, "read_age_seconds": 900.0}, 1.0, "no_queues"),
    ({"queues": [], "unread_seconds": 0.0}, 1.0, "no_queues"),
    ({"paused": True, "active_count": 4}, 1.0, "no_queues"),
    ({"paused": True, "draining": True}, 1.0, "draining"),
    # It should have read for so long by its own measure.
    ({"unread_seconds": 61.0}, 1.0, "not_consuming"),
    ({"unread_seconds": 60.0}, 1.0, "ok"),
    # Free for a moment, after hours in which it was full: its own measure is right, the clock says nothing.
    ({"unread_seconds": 0.4, "read_age_seconds": 7200.0}, 1.0, "ok"),
    # Nothing proves that it reads.
    ({"unread_seconds": None, "read_age_seconds": 900.0}, 1.0, "ok"),
    # What it measured a while ago has grown, or not: the record's age accuses nobody.
    ({"unread_seconds": 59.0}, 29.0, "ok"),
    # Slots are free, its hands are full of what waits for a limit.
    ({"can_consume": False, "held_back": [{"by": "rate_limit"}]}, 1.0, "held_back"),
    ({"can_consume": False, "held_back": []}, 1.0, "saturated"),
    ({"held_back": [{"by": "eta"}], "connected": False}, 1.0, "reconnecting"),
    ({"held_back": [{"by": "eta"}], "loop_age_seconds": 61.0}, 1.0, "stuck"),
    # Clocks that are not there accuse nobody.
    ({"loop_age_seconds": None, "read_age_seconds": None}, 1.0, "ok"),
    # It has never been ready, whatever else it says.
    ({"starting": True}, 1.0, "starting"),
    ({"starting": True, "connected": False, "queues": []}, 1.0, "starting"),
    ({"starting": False, "connected": False}, 1.0, "reconnecting"),
    # Earlier versions say so only of the probe.
    ({"ready": False}, 1.0, "ok"),
    ({"ready": False, "connected": False}, 1.0, "reconnecting"),
    # Told to stop before it was ready; and gone.
    ({"starting": True, "draining": True}, 1.0, "draining"),
    ({"starting": True}, 31.0, "gone"),
    # Its last word.
    ({"starting": True, "exit": {"cause": "OSError: no", "at_start": True}}, 1.0, "gone"),
    ({"exit": {}}, 1.0, "gone"),
    ({"exit": None}, 1.0, "ok"),
    # Proven old.
    ({}, 31.0, "gone"),
    ({"draining": True}, 31.0, "gone"),
    # It said so.
    ({"goodbye": True}, 1.0, "gone"),
    # No number at all, from a record that somebody else wrote.
    ({"unread_seconds": float("inf"), "loop_age_seconds": float("nan")}, 1.0, "ok"),
    # A record of another version, with nothing that we know.
    ({**dict.fromkeys(WELL, "?"), "held_back": "?", "unread_seconds": "?", "queues": "?"}, 1.0, "ok"),
]


@pytest.mark.parametrize(("changes", "age", "expected"), STATES)
def test_recorded_state__table(changes: dict[str, Any], age: float, expected: str) -> None:
    assert recorded_state({**WELL, **changes}, age, Limits()) is WorkerState(expected)
