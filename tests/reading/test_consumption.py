"""Who consumes a queue: each kind of evidence, and what it is worth."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from celery_health.brokers.base import QueueReading
from celery_health.reading.consumption import ConsumerEvidence, Silent, consumption_of
from celery_health.reading.queue_watch import Watched
from celery_health.records import Source, Worker, WorkerState
from celery_health.testing import make_worker

OURS = make_worker("a@h")


def one(state: WorkerState) -> dict[str, Any]:
    return {"workers": [make_worker("a@h", state=state)]}


def reading(**changes: Any) -> QueueReading:
    return QueueReading(**{"name": "celery", "ready": 3, **changes})


def seen(
    watched: Watched | None = None,
    *,
    workers: list[Worker] | None = None,
    queue: QueueReading | None = None,
    age: float | None = None,
    **evidence: Any,
) -> tuple[Any, ...]:
    """Return whether it is consumed, by how many, how long not, and whether the store says so."""
    found = consumption_of(
        queue or reading(),
        ConsumerEvidence(workers=workers or [], **evidence),
        watched or Watched(),
        age_seconds=age,
    )
    return found.is_consumed, found.consumers, found.unconsumed_seconds, found.by_store


STORE = {"last_consumed": {"other": 1.0}, "store_age_seconds": 5000.0}
FOREIGN = make_worker("b@h", app_id="crm")

ROWS: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("our worker", {"workers": [OURS]}, (True, 1, 0.0, False)),
    ("two of ours of one name", {"workers": [OURS, OURS]}, (True, 2, 0.0, False)),
    ("full is a consumer", one(WorkerState.SATURATED), (True, 1, 0.0, False)),
    ("another application's", {"strangers": [FOREIGN]}, (True, 1, 0.0, False)),
    ("draining takes nothing", one(WorkerState.DRAINING), (False, 0, 0.0, False)),
    ("reconnecting takes nothing", one(WorkerState.RECONNECTING), (False, 0, 0.0, False)),
    ("hanging takes nothing", one(WorkerState.NOT_CONSUMING), (False, 0, 0.0, False)),
    ("gone", one(WorkerState.GONE), (False, 0, 0.0, False)),
    # The broker counts, whoever can be asked or not.
    ("the broker counts none", {"queue": reading(consumers=0), "unasked": "off"}, (False, 0, 0.0, False)),
    ("the broker counts a stranger", {"queue": reading(consumers=2)}, (True, 2, 0.0, False)),
    (
        "the broker counts one that hangs",
        {"queue": reading(consumers=1), **one(WorkerState.STUCK)},
        (False, 0, 0.0, False),
    ),
    (
        "the broker counts one that hangs and a stranger",
        {"queue": reading(consumers=2), **one(WorkerState.STUCK)},
        (True, 1, 0.0, False),
    ),
    # A record of half a minute ago, and the broker that counts nobody since: it was killed.
    (
        "the broker counts none, and has for longer than the record is old",
        {
            "workers": [make_worker("a@h", source=Source.HEARTBEATS, last_seen_seconds=12.0)],
            "queue": reading(consumers=0),
            "watched": Watched(uncounted_seconds=10.0),
        },
        (False, 0, 0.0, False),
    ),
    (
        "the broker counts none, and the record is newer",
        {
            "workers": [make_worker("a@h", source=Source.HEARTBEATS, last_seen_seconds=3.0)],
            "queue": reading(consumers=0),
            "watched": Watched(uncounted_seconds=10.0),
        },
        (True, 1, 0.0, False),
    ),
    # Who was not asked may consume it.
    ("nobody could be asked", {"unasked": "remote control is off"}, (None, None, None, False)),
    (
        "a silent one that did",
        {"silent": [Silent(hostname="s", queues=("celery",))]},
        (None, None, None, False),
    ),
    ("a silent one that did not", {"silent": [Silent(hostname="s", queues=("x",))]}, (False, 0, 0.0, False)),
    ("a silent one that nobody knows", {"silent": [Silent(hostname="s")]}, (None, None, None, False)),
    # Where the store knows who used to, its word counts.
    (
        "a silent stranger, and the store knows",
        {"silent": [Silent(hostname="s")], "last_consumed": {"celery": 70.0}},
        (False, 0, 70.0, True),
    ),
    (
        "nobody could be asked, and the store knows",
        {"unasked": "forbidden", "last_consumed": {"celery": 70.0}},
        (False, 0, 70.0, True),
    ),
    (
        "a silent one that did, and the store knows of an earlier one",
        {"silent": [Silent(hostname="s", queues=("celery",))], "last_consumed": {"celery": 9e5}},
        (None, None, None, False),
    ),
    # Since when: as long as it was watched, or as the store says.
    ("watched", {"watched": Watched(unconsumed_seconds=8.0)}, (False, 0, 8.0, False)),
    (
        "consumed 6 s ago, though two sparse readings each saw nobody",
        {"watched": Watched(unconsumed_seconds=70.0), "last_consumed": {"celery": 6.0}},
        (False, 0, 6.0, True),
    ),
    (
        "last by the store a week ago, and a moment ago by one without a record",
        {"watched": Watched(consumed_ago=2.0), "last_consumed": {"celery": 6e5}},
        (False, 0, 2.0, True),
    ),
    ("a head that is old proves nothing without a store", {"age": 300.0}, (False, 0, 0.0, False)),
    ("never consumed, by the store", {"age": 300.0, **STORE}, (False, 0, 300.0, True)),
    ("a young store", {"age": 300.0, **STORE, "store_age_seconds": 9.0}, (False, 0, 9.0, True)),
    ("a store to which nobody reports", {"age": 300.0, "last_consumed": {}}, (False, 0, 0.0, False)),
    # Messages are taken: somebody does it.
    ("drained by nobody that is known", {"watched": Watched(is_drained=True)}, (True, None, 0.0, False)),
    (
        "drained, and the broker counts nobody",
        {"watched": Watched(is_drained=True), "queue": reading(consumers=0)},
        (False, 0, 0.0, False),
    ),
]


@pytest.mark.parametrize(("what", "given", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_consumption__table(what: str, given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert seen(**given) == expected


def test_consumption__says_why_it_is_not_known() -> None:
    silent = [Silent(hostname=f"w{n}@h") for n in range(5)]
    found = consumption_of(reading(), ConsumerEvidence(silent=silent), Watched(consumed_ago=inf))

    assert found.unknown == "workers 'w0@h', 'w1@h', 'w2@h' and 2 more may consume it, and did not answer"
