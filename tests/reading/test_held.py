"""What workers hold and could run now: nothing twice, nothing of the dead; what nobody says is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.reading.held import Held, Holders, due_by_queue
from celery_health.records import DueTasks, Worker, WorkerState
from celery_health.testing import make_worker


def holding(count: int = 204, oldest: float | None = 12.0, hostname: str = "w1@h", **changes: Any) -> Worker:
    """Return a worker whose record says that it holds so many of ``celery``, due."""
    eta = changes.pop("eta", 0)
    least = changes.pop("least", False)
    due = DueTasks(count=count, eta_count=eta, oldest_seconds=oldest, oldest_is_minimum=least)
    defaults = {"due_by_queue": {"celery": due}, "reserved_by_queue": {"celery": count}}
    return make_worker(hostname, **{**defaults, **changes})


OLD = make_worker("old@h", reserved_by_queue={"celery": 4})
IDLE = make_worker("idle@h", due_by_queue={})

TABLE: list[tuple[str, list[Worker], dict[str, Any], Held]] = [
    # What a worker holds and could run, as old as its record is older.
    (
        "one holds",
        [holding(last_seen_seconds=3.0)],
        {},
        Held(count=204, oldest_seconds=15.0, oldest_by="w1@h"),
    ),
    (
        "two hold",
        [holding(), holding(400, 9.0, "w2@h", eta=400)],
        {},
        Held(count=604, with_eta=400, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
    # It drains, hangs, or takes from the queue no more: it holds them all the same.
    (
        "draining",
        [holding(3, state=WorkerState.DRAINING)],
        {},
        Held(count=3, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
    (
        "stuck",
        [holding(3, state=WorkerState.STUCK)],
        {},
        Held(count=3, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
    ("cancelled", [holding(3, queues=())], {}, Held(count=3, oldest_seconds=12.0, oldest_by="w1@h")),
    # Of a worker that is gone it is lost, or comes back: in neither case held.
    ("gone", [holding(state=WorkerState.GONE), IDLE], {}, Held(count=0)),
    ("gone by the broker's word", [holding()], {"gone": True}, Held(count=0)),
    ("silent", [holding(state=WorkerState.UNKNOWN)], {"is_told": False}, Held()),
    # Nobody holds any; nobody says so.
    ("none", [IDLE], {}, Held(count=0)),
    ("nobody there", [], {}, Held(count=0)),
    ("nobody knows who is there", [], {"is_told": False}, Held()),
    # A record of an older version: unknown; beside others the rest is the least.
    ("older version", [OLD], {}, Held()),
    (
        "older version beside",
        [OLD, holding()],
        {},
        Held(count=204, is_minimum=True, oldest_seconds=12.0, oldest_is_minimum=True, oldest_by="w1@h"),
    ),
    ("older version, the other none", [OLD, IDLE], {}, Held()),
    # By inspection: how many, and not for how long.
    ("by inspection", [holding(oldest=None)], {}, Held(count=204, oldest_is_minimum=True)),
    (
        "without a stamp",
        [holding(least=True)],
        {},
        Held(count=204, oldest_seconds=12.0, oldest_is_minimum=True, oldest_by="w1@h"),
    ),
    (
        "more than it looked at",
        [holding(is_cut=True)],
        {},
        Held(count=204, is_minimum=True, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
    # The broker's own count says that some have been begun, or have gone back, since the record.
    ("all delivered", [holding()], {"unacked": 204}, Held(count=204, oldest_seconds=12.0, oldest_by="w1@h")),
    (
        "late ones run beside",
        [holding()],
        {"unacked": 208},
        Held(count=204, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
    (
        "fewer delivered",
        [holding()],
        {"unacked": 200},
        Held(count=200, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
    # Their visibility timeout is over: ready again, and counted there.
    ("all gone back", [holding()], {"unacked": 0}, Held(count=0)),
    # 500 wait for their ETA: of the 550 that are delivered, 50 are due.
    (
        "with some for later",
        [holding(100, scheduled_by_queue={"celery": 500})],
        {"unacked": 550},
        Held(count=50, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
    # Those for later are another worker's, which holds nothing that is due.
    (
        "for later elsewhere",
        [holding(100), make_worker("w2@h", due_by_queue={}, scheduled_by_queue={"celery": 500})],
        {"unacked": 550},
        Held(count=50, oldest_seconds=12.0, oldest_by="w1@h"),
    ),
]


@pytest.mark.parametrize(
    ("workers", "known", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_held__table(workers: list[Worker], known: dict[str, Any], expected: Held) -> None:
    known = dict(known)
    without = workers if known.pop("gone", False) else ()
    found = Holders(workers).of("celery", **{"is_told": True, "without": without, **known})
    assert found == expected


WORDS: list[tuple[object, Any]] = [
    (None, None),
    ("?", None),
    ([], None),
    ({}, {}),
    ({"q": {"count": 2, "oldest_seconds": 1.5}}, {"q": DueTasks(count=2, oldest_seconds=1.5)}),
    # What has the wrong type is unknown; what has no count is nothing.
    ({"q": {"count": 2, "oldest_seconds": "x", "eta_count": None}}, {"q": DueTasks(count=2)}),
    (
        {"q": {"count": -1, "oldest_seconds": float("nan")}, "r": 3, 4: {}, "s": {"count": True}},
        {"q": DueTasks(count=0)},
    ),
]


@pytest.mark.parametrize(("value", "expected"), WORDS)
def test_due_by_queue__of_any_record(value: object, expected: Any) -> None:
    assert due_by_queue(value) == expected
