"""Queues of which nothing changed keep their state; whatever changes is seen."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.conf import Settings
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.reading.queue_states import QueueSources, QueueStates
from celery_health.reading.quiet_queues import QuietQueues
from celery_health.records import DueTasks, QueueState, Source, Worker, WorkerState
from celery_health.testing import make_worker
from celery_health.topology import Topology

A, B = QueueReading(name="a", ready=0), QueueReading(name="b", ready=0)
WORKER = make_worker("w@h", queues=("a", "b"), active_by_queue={"a": 1})


class System:
    """A broker's readings, the workers, and the one who puts states together."""

    def __init__(self) -> None:
        self.states = QueueStates(Settings())
        self.now = 0.0

    def look(
        self, *workers: Worker, a: QueueReading = A, topology: Topology | None = None, **evidence: Any
    ) -> dict[str, QueueState]:
        self.now += 1.0
        sources = QueueSources(
            reading=BrokerReading(reachable=True, queues={"a": a, "b": B}),
            consumers=ConsumerEvidence(workers=workers, **evidence),
            now=self.now,
            wall_time=1e6,
        )
        return {state.name: state for state in self.states.update(sources, topology or Topology())}


def test_quiet__keeps_its_state() -> None:
    system = System()
    first = system.look(WORKER)
    second = system.look(replace(WORKER, last_seen_seconds=3.0))

    assert (second["a"] is first["a"], second["b"] is first["b"]) == (True, True)
    assert (first["a"].active, first["a"].consumer_names) == (1, ("w@h",))


def test_quiet__what_is_held_grows_older() -> None:
    system = System()
    holder = replace(WORKER, due_by_queue={"a": DueTasks(count=2, oldest_seconds=5.0)})
    ages = [
        system.look(replace(holder, last_seen_seconds=s))["a"].oldest_age_seconds for s in (0.0, 1.0, 2.0)
    ]

    assert ages == [5.0, 6.0, 7.0]


CHANGES: list[tuple[str, dict[str, Any], Any]] = [
    ("more running", {"workers": [replace(WORKER, active_by_queue={"a": 2})]}, ("active", 2)),
    ("more slots", {"workers": [replace(WORKER, concurrency=9)]}, ("capacity", 9)),
    ("another joins", {"workers": [WORKER, make_worker("v@h", queues=("a",))]}, ("consumers", 2)),
    ("a twin of its name", {"workers": [WORKER, replace(WORKER, pid=7)]}, ("consumers", 2)),
    ("it left", {"workers": []}, ("consumers", 0)),
    ("it drains", {"workers": [replace(WORKER, state=WorkerState.DRAINING)]}, ("consumers", 0)),
    ("it took another queue", {"workers": [replace(WORKER, queues=("b",))]}, ("consumers", 0)),
    ("a stranger came", {"strangers": [make_worker("x@h", queues=("a",))]}, ("foreign_consumers", ("x@h",))),
    ("it holds some", {"workers": [replace(WORKER, due_by_queue={"a": DueTasks(count=2)})]}, ("held", 2)),
    ("a message came", {"a": QueueReading(name="a", ready=1)}, ("ready", 1)),
    ("it is expected now", {"topology": Topology(expected={"a": ("task:t",)})}, ("expected_by", ("task:t",))),
]


@pytest.mark.parametrize(("what", "change", "expected"), CHANGES, ids=[row[0] for row in CHANGES])
def test_quiet__sees_what_changes(what: str, change: dict[str, Any], expected: tuple[str, Any]) -> None:
    system = System()
    system.look(WORKER)
    system.look(WORKER)
    state = system.look(*change.pop("workers", [WORKER]), **change)["a"]

    name, value = expected
    assert getattr(state, name) == value
    # And back again.
    assert system.look(WORKER)["a"].consumer_names == ("w@h",)


def test_quiet__counts_a_queue_as_consumed_until_the_last_reading() -> None:
    """It was quiet for a while: that time is none without a consumer."""
    system = System()
    for _ in range(100):
        system.look(WORKER)
    lost = [system.look(last_consumed={"a": 9e5})["a"].unconsumed_seconds for _ in range(3)]

    assert lost == [1.0, 2.0, 3.0]


def test_quiet__two_workers_of_one_name_and_pid() -> None:
    """In containers both are pid 1: the one that leaves takes its queue with it."""
    system = System()
    twins = [make_worker("w@h", pid=1, queues=("a",)), make_worker("w@h", pid=1, queues=("b",))]
    assert system.look(*twins)["a"].consumers == 1
    assert system.look(*twins)["a"].consumers == 1
    found = system.look(twins[1])

    assert (found["a"].consumers, found["b"].consumers) == (0, 1)


def test_quiet__is_the_same_as_putting_everything_together_anew() -> None:
    """Whatever happens, in 300 random courses."""
    for seed in range(300):
        chance = Random(seed)
        quick, slow = System(), System()
        slow.states._quiet = Sleepless()
        empty = {name: QueueReading(name=name, ready=0, unacked=0) for name in "ab"}
        workers: list[Worker] = []
        for _ in range(20):
            if chance.random() < 0.4:
                workers = [some_worker(chance) for _ in range(chance.randint(0, 3))]
            a = (
                empty["a"]
                if chance.random() < 0.7
                else QueueReading(name="a", ready=chance.choice([0, 1, None]))
            )
            unasked = chance.choice([None, None, "off"])
            stamps = chance.choice([None, {"a": 50.0}])
            pause = chance.choice([1.0, 15.0, 61.0])
            found = []
            for system in (quick, slow):
                system.now += pause
                found.append(system.look(*workers, a=a, unasked=unasked, last_consumed=stamps))
            assert found[0] == found[1], seed


class Sleepless(QuietQueues):
    """Keeps nothing."""

    def keep(self, *args: Any, **kwargs: Any) -> None:
        """Forget it."""


def some_worker(chance: Random) -> Worker:
    return make_worker(
        chance.choice(["v@h", "w@h"]),
        pid=chance.choice([1, None]),
        state=chance.choice(list(WorkerState)),
        source=Source.HEARTBEATS,
        queues=tuple(chance.sample("ab", chance.randint(0, 2))),
        concurrency=chance.choice([1, 2]),
        active_by_queue=chance.choice([{}, {"a": 1}]),
        due_by_queue=chance.choice(
            [None, {}, {"a": DueTasks(count=chance.choice([0, 3]), oldest_seconds=1.0)}]
        ),
    )
