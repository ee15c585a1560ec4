"""What is due of what a worker holds: with Celery's own requests, in the sets where each pool keeps them."""

from __future__ import annotations

import heapq
import time
import uuid
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker import state as worker_state
from celery.worker.request import Request
from kombu.asynchronous.timer import Timer
from kombu.message import Message
from kombu.serialization import dumps

from celery_health.conf import Settings
from celery_health.headers import PUBLISHED_AT_HEADER
from celery_health.reporting.clock import StoreClock
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from celery_health.worker import due, held
from celery_health.worker.held import HeldTasks
from celery_health.worker.queues import QueueNames

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    worker_state.reset_state()
    monkeypatch.setattr(held.time, "time", lambda: NOW)
    yield
    worker_state.reset_state()


@pytest.fixture
def app() -> Celery:
    app = Celery("held", broker="memory://", set_as_current=False)

    @app.task(name="t")
    def t() -> None:
        """Do nothing."""

    app.finalize()
    return app


class Place:
    """The sets of one worker, and what its record says of them."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.consumer = SimpleNamespace(
            task_buckets={}, timer=None, qos=SimpleNamespace(value=4), connection=None
        )
        self.kept: list[Any] = []
        self.faults = Faults(Totals())
        self.tasks = HeldTasks({}, settings=Settings(), queues=QueueNames(), faults=self.faults)

    def request(
        self,
        *,
        ago: float | None = 0.0,
        eta: float | None = None,
        queue: str = "celery",
        redelivered: bool = False,
    ) -> Any:
        """Return a request, published `ago` seconds ago (None: unstamped), its ETA `eta` seconds from now."""
        headers: dict[str, Any] = {"task": "t", "id": str(uuid.uuid4()), "lang": "py", "retries": 0}
        headers |= {
            "timelimit": [None, None],
            "expires": None,
            "eta": None,
            "root_id": None,
            "parent_id": None,
        }
        if eta is not None:
            headers["eta"] = (datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=eta)).isoformat()
        if ago is not None:
            headers[PUBLISHED_AT_HEADER] = NOW - ago
        content_type, encoding, body = dumps(((), {}, {}), serializer="json")
        message = Message(
            body=body, content_type=content_type, content_encoding=encoding, headers=headers, properties={},
            delivery_tag="1", channel=None,
            delivery_info={"exchange": "", "routing_key": queue, "redelivered": redelivered},
        )  # fmt: skip
        made = Request(
            message, app=self.app, task=self.app.tasks["t"], headers=headers, body=body, decoded=False,
            connection_errors=(),
        )  # fmt: skip
        self.kept.append(made)
        return made

    def reserve(self, *requests: Any) -> None:
        worker_state.reserved_requests.update(requests)

    def run(self, *requests: Any) -> None:
        self.reserve(*requests)
        worker_state.active_requests.update(requests)

    def record(self) -> dict[str, Any]:
        return self.tasks.record(self.consumer, monotonic(), concurrency=4, can_consume=True)

    def due(self, queue: str = "celery") -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.record()["due_by_queue"].get(queue)
        return found


@pytest.fixture
def place(app: Celery) -> Place:
    return Place(app)


def row(count: int, oldest: float, *, eta: int = 0, least: bool = False) -> dict[str, Any]:
    return {"count": count, "eta_count": eta, "oldest_seconds": oldest, "oldest_is_minimum": least}


def test_due__nothing_is_held(place: Place) -> None:
    assert place.record()["due_by_queue"] == {}
    assert place.record()["is_cut"] is False


def test_due__reserved_and_not_running(place: Place) -> None:
    place.run(place.request(ago=900.0))
    place.reserve(place.request(ago=5.0), place.request(ago=7.5), place.request(ago=2.0, queue="mail"))

    assert place.record()["due_by_queue"] == {"celery": row(2, 7.5), "mail": row(1, 2.0)}


def test_due__after_its_eta_since_then(place: Place) -> None:
    # Given to the pool; among Celery's timers with an ETA that has passed; with one that has not.
    place.reserve(place.request(ago=600.0, eta=-8.0))
    worker_state.scheduled_requests.update(
        [place.request(ago=600.0, eta=-3.0), place.request(ago=600.0, eta=3600.0)]
    )
    assert place.due() == row(2, 8.0, eta=2)
    assert place.record()["scheduled_by_queue"] == {"celery": 2}


def test_due__an_eta_ahead_is_none(place: Place) -> None:
    worker_state.scheduled_requests.update([place.request(ago=600.0, eta=3600.0) for _ in range(100)])
    assert place.record()["due_by_queue"] == {}


def test_due__among_timers_before_celery_5_6(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    timer = Timer()
    for eta in (-4.0, 60.0):
        timer.call_at(NOW + eta, print, (place.request(ago=10.0, eta=eta),))
    assert heapq.nsmallest(1, timer._queue)
    place.consumer.timer = timer

    with monkeypatch.context() as older:
        older.delattr(worker_state, "scheduled_requests")
        assert place.due() == row(1, 4.0, eta=1)


def test_due__behind_a_rate_limit_is_none(place: Place) -> None:
    limited, after_eta = place.request(ago=700.0), place.request(ago=700.0, eta=-60.0)
    bucket = SimpleNamespace(contents=deque([(limited, 1), (after_eta, 1)]))
    place.consumer.task_buckets = {"t": bucket, "u": None}
    # Celery keeps what waits for its limit after its ETA among the scheduled.
    worker_state.scheduled_requests.add(after_eta)

    record = place.record()
    assert (record["due_by_queue"], record["reserved_by_queue"]) == ({}, {"celery": 2})


def test_due__without_a_stamp_since_it_was_first_seen(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.reserve(place.request(ago=None))
    assert place.due() == row(1, 0.0, least=True)
    monkeypatch.setattr(held.time, "time", lambda: NOW + 30.0)
    assert place.due() == row(1, 30.0, least=True)
    # A stamped one is older, as far as is known.
    place.reserve(place.request(ago=10.0))
    assert place.due() == row(2, 40.0, least=True)


@pytest.mark.parametrize("stamp", [float("nan"), 0.0, -5.0, "soon", 7, None])
def test_due__a_stamp_that_is_none(place: Place, stamp: object) -> None:
    request = place.request()
    request.request_dict[PUBLISHED_AT_HEADER] = stamp
    place.reserve(request)
    assert place.due() == row(1, 0.0, least=True)


def test_due__redelivered_it_may_have_run_meanwhile(place: Place) -> None:
    place.reserve(place.request(ago=3600.0, redelivered=True))
    assert place.due() == row(1, 0.0, least=True)


def test_due__by_a_clock_ahead_of_ours_since_it_was_first_seen(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.reserve(place.request(ago=-30.0))
    assert place.due() == row(1, 0.0, least=True)
    monkeypatch.setattr(held.time, "time", lambda: NOW + 20.0)
    assert place.due() == row(1, 20.0, least=True)


@pytest.mark.parametrize(
    ("off", "ago", "eta", "expected"),
    [
        (900.0, 20.0, None, row(1, 20.0)),
        (-900.0, 20.0, None, row(1, 20.0)),
        # Since its ETA; that has passed when this host says so, as Celery goes by it.
        (900.0, 600.0, -8.0, row(1, 8.0, eta=1)),
        (-900.0, 600.0, -8.0, None),
        (-900.0, 2000.0, -910.0, row(1, 910.0, eta=1)),
        # Whoever sent it made the ETA by a clock that is behind.
        (900.0, 5.0, -892.0, row(1, 5.0, eta=1)),
        # It is ahead by any other clock.
        (900.0, 100.0, 500.0, row(1, 0.0, eta=1, least=True)),
    ],
)
def test_due__on_a_host_whose_clock_is_off(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    off: float,
    ago: float,
    eta: float | None,
    expected: dict[str, Any] | None,
) -> None:
    clock = StoreClock()
    monkeypatch.setattr(held, "CLOCK", clock)
    monkeypatch.setattr(held.time, "time", lambda: NOW + off)
    clock.answered(NOW, 0.0)
    place.reserve(place.request(ago=ago, eta=eta))
    assert place.due() == expected


def test_due__of_thousands_it_looks_at_some(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MAX_LOOKED", 50)
    monkeypatch.setattr(due, "MAX_ASKED", 30)
    place.run(place.request(), place.request())
    place.reserve(*(place.request(ago=9.0) for _ in range(78)))

    record = place.record()
    assert (record["reserved_count"], record["is_cut"]) == (78, True)
    assert record["due_by_queue"]["celery"]["count"] in (48, 49, 50)
    assert record["due_by_queue"]["celery"]["oldest_is_minimum"] is True
    assert record["due_by_queue"]["celery"]["oldest_seconds"] == 9.0


def test_due__what_cannot_be_told_costs_no_record(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    request = place.request(eta=-1.0)
    monkeypatch.setattr(request, "_eta", object())
    place.reserve(request)

    record = place.record()
    assert (record["due_by_queue"], record["reserved_count"]) == (None, 1)


def test_record__is_built_in_bounded_time(place: Place) -> None:
    """With 20,000 held some 15 ms of processor time."""
    place.reserve(*(place.request(ago=1.0) for _ in range(20_000)))
    times = []
    for _ in range(5):
        started = time.thread_time()
        record = place.record()
        times.append(time.thread_time() - started)
    assert record["reserved_count"] == 20_000
    assert min(times) < 0.1
