"""Queues of which nothing changed keep their state; whatever changes is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.conf import Settings
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.reading.queue_states import QueueSources, QueueStates
from celery_health.records import QueueState, Worker, WorkerState
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


CHANGES: list[tuple[str, dict[str, Any], Any]] = [
    ("more running", {"workers": [replace(WORKER, active_by_queue={"a": 2})]}, ("active", 2)),
    ("more slots", {"workers": [replace(WORKER, concurrency=9)]}, ("capacity", 9)),
    ("another joins", {"workers": [WORKER, make_worker("v@h", queues=("a",))]}, ("consumers", 2)),
    ("a twin of its name", {"workers": [WORKER, replace(WORKER, pid=7)]}, ("consumers", 2)),
    ("it left", {"workers": []}, ("consumers", 0)),
    ("it drains", {"workers": [replace(WORKER, state=WorkerState.DRAINING)]}, ("consumers", 0)),
    ("it took another queue", {"workers": [replace(WORKER, queues=("b",))]}, ("consumers", 0)),
    ("a stranger came", {"strangers": [make_worker("x@h", queues=("a",))]}, ("foreign_consumers", ("x@h",))),
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
