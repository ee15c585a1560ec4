"""Runs beside each other: each has its connections to itself, and one that was given up leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection

from celery_health.conf import Settings
from celery_health.connections.redis import RedisLink
from celery_health.deadline import Deadline
from celery_health.exceptions import DeadlineExceeded
from celery_health.reading.checkout import Checkout
from celery_health.reading.flight import Run, SharedFlight
from celery_health.reading.reader import Reader
from celery_health.topology import Topology
from tests.support import Proxy, RedisServer, eventually

pytestmark = pytest.mark.redis

CALLS_PER_RUN = 150
#: Of a set: broker, store, dead letters.
CONNECTIONS = 3
QUEUES = {f"queue-{number}": number for number in range(1, 21)}


def connected(server: RedisServer) -> int:
    """Return how many connections the server has, but for the one that asks."""
    with redis.Redis(port=server.port) as client:
        return len(client.client_list()) - 1


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_runs__replies_are_never_mixed(
    own_redis: Callable[..., RedisServer], proxy: Callable[[int], Proxy]
) -> None:
    server = own_redis()
    between = proxy(server.port)
    between.delay(0.0005)
    links = Checkout(lambda: RedisLink(Connection(between.url(server.url))), RedisLink.close)
    calls: list[bool] = []
    numbers = iter(range(1_000_000))

    def work(run: Run) -> None:
        with links.checked_out(run) as link:
            for _ in range(CALLS_PER_RUN):
                sent = b"%d" % next(numbers)
                calls.append(link.call("ECHO", sent, deadline=Deadline.after(10)) == sent)

    # Each run takes longer than it may, so that others start beside it.
    flight = SharedFlight(work, name="test-mixed", run_seconds=0.03, max_age_seconds=0.0)

    def ask() -> None:
        while len(calls) < 5_000:
            with pytest.raises(DeadlineExceeded):
                flight.get(Deadline.after(0.04))

    callers = [threading.Thread(target=ask) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert len(calls) >= 5_000
    assert all(calls), f"{calls.count(False)} of {len(calls)} replies were those of another call."
    eventually(lambda: not threads("test-mixed"))
    links.close()
    eventually(lambda: connected(server) == 0)


class Gate:
    """Stands before a reading's broker: the run that is marked waits there until the gate opens.

    A double of what keeps a run for longer than any socket's timeout, a name look-up for one.
    """

    def __init__(self, reader: Reader) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.hangs = True
        self._get = reader.topology.get

    def get(self, wait_seconds: float) -> Topology | None:
        if self.hangs and threading.current_thread().name == "celery-health-reader":
            self.hangs = False
            self.reached.set()
            self.opened.wait(30)
        return self._get(wait_seconds)


@pytest.fixture
def server(own_redis: Callable[..., RedisServer]) -> RedisServer:
    """A Redis with as many messages in each queue as its number says."""
    server = own_redis()
    with redis.Redis(port=server.port) as client:
        for name, length in QUEUES.items():
            client.lpush(name, *["{}"] * length)
    return server


@pytest.fixture
def reader(server: RedisServer, make_app: Callable[..., Celery]) -> Iterator[Reader]:
    settings = Settings(deadline=0.5, expected_queues=tuple(QUEUES), app_id="shop")
    reader = Reader(make_app(server.url), settings)
    yield reader
    reader.close()


def test_runs__one_that_was_given_up_changes_nothing(
    reader: Reader, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(reader)
    monkeypatch.setattr(reader.topology, "get", gate.get)
    noted: list[str] = []
    note = reader._queues._watch.note
    monkeypatch.setattr(
        reader._queues._watch,
        "note",
        lambda *args, **kwargs: (noted.append(threading.current_thread().name), note(*args, **kwargs)),
    )
    with pytest.raises(DeadlineExceeded):
        reader.snapshots.get(Deadline.after(0.5))
    (late,) = threads("celery-health-reader")

    kept, _ = reader.snapshots.get(Deadline.after(10))
    before = len(noted)
    gate.opened.set()
    late.join(10)

    assert not late.is_alive()
    assert len(noted) == before >= len(QUEUES)
    assert {queue.name: queue.ready for queue in kept.queues if queue.name in QUEUES} == QUEUES
    assert reader.snapshots.refresh()[0] is kept  # type: ignore[index]


def test_runs__those_given_up_leave_no_thread_and_no_connection(reader: Reader, server: RedisServer) -> None:
    lengths: list[dict[str, Any]] = []
    for _ in range(8):
        gate = Gate(reader)
        reader.topology.get = gate.get  # type: ignore[method-assign]
        reader.snapshots.forget()
        with pytest.raises(DeadlineExceeded):
            reader.snapshots.get(Deadline.after(0.01))
        assert gate.reached.wait(10)
        callers = [
            threading.Thread(
                target=lambda: lengths.append(
                    {queue.name: queue.ready for queue in reader.snapshots.get(Deadline.after(10))[0].queues}
                )
            )
            for _ in range(5)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(20)
        gate.opened.set()
        reader.topology.get = gate._get  # type: ignore[method-assign]

    eventually(lambda: not threads("celery-health-reader"))
    assert len(lengths) == 40
    assert all({name: found[name] for name in QUEUES} == QUEUES for found in lengths)
    eventually(lambda: connected(server) <= CONNECTIONS)
    reader.close()
    eventually(lambda: connected(server) == 0)


def test_runs__a_reader_that_is_closed_meanwhile_keeps_nothing_open(
    reader: Reader, server: RedisServer
) -> None:
    gate = Gate(reader)
    reader.topology.get = gate.get  # type: ignore[method-assign]
    with pytest.raises(DeadlineExceeded):
        reader.snapshots.get(Deadline.after(0.01))
    assert gate.reached.wait(10)
    reader.close()
    gate.opened.set()

    eventually(lambda: not threads("celery-health-reader"))
    eventually(lambda: connected(server) == 0)
