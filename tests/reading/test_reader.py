"""What a reading expects and says before anything is asked; the rest needs brokers and workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.reading.builtin_replies import worker_from_builtin
from celery_health.reading.expectation import expecting, queue_names
from celery_health.reading.known_workers import is_ours_by
from celery_health.reading.reader import Reader
from celery_health.reading.recorded import Recorded
from celery_health.records import BeatState, BrokerState
from celery_health.testing import make_beat, make_entry, make_worker
from celery_health.topology import Topology

SETTINGS = Settings(expected_queues=("vip",), ignored_queues=frozenset({"ignored"}))
DOWN = BrokerState(transport="redis", url="redis://h/0", reachable=False, error="No answer within 2 s.")


@pytest.fixture
def reader(make_app: Callable[..., Celery]) -> Iterator[Reader]:
    """A reader of a broker and a store that nobody asks here."""
    made = Reader(make_app("redis://127.0.0.1:1/0"), SETTINGS)
    yield made
    made.close()


def test_expected__what_beats_send_to_wherever_the_schedule_is_kept() -> None:
    entries = (
        make_entry("from-a-table", queue="emails"),
        make_entry("off", queue="never", enabled=False),
        make_entry("to-an-exchange", queue=None),
        make_entry("mine", queue="ignored"),
        # Schedulers add it by themselves: no queue has to be consumed for that.
        make_entry("celery.backend_cleanup", task="celery.backend_cleanup", queue="celery"),
    )
    recorded = Recorded(beats=(make_beat(state=BeatState.OK, entries=entries),))
    topology = Topology(expected={"emails": ("task:a.send", "beat:from-a-table"), "ignored": ("task:a.b",)})

    found = expecting(topology, recorded.beats, SETTINGS)

    assert found.expected == {"emails": ("task:a.send", "beat:from-a-table"), "vip": ("setting",)}
    expected = expecting(Topology(), recorded.beats, SETTINGS).expected
    assert queue_names(expected, SETTINGS) == ["emails", "vip"]


def test_expected__a_worker_of_an_expected_queue_is_ours() -> None:
    own = Topology(own_tasks=frozenset({"a.b"}))
    worker = make_worker(queues=("vip",), registered=frozenset({"a.b"}))

    assert is_ours_by(worker, expecting(own, (), SETTINGS))
    assert not is_ours_by(replace(worker, queues=("other",)), expecting(own, (), SETTINGS))


def test_unread__a_store_that_was_not_asked_is_not_missing(reader: Reader) -> None:
    report = judge(reader.unread(DOWN), SETTINGS)

    (store,) = (check for check in report.checks if check.id == "store.reachable")
    assert (store.status.value, store.message) == ("unknown", "The store was not asked.")
    assert not [check.message for check in report.checks if "STORE_URL" in check.message]


def test_unread__settings_say_all_the_same_why_there_are_queues(reader: Reader) -> None:
    """Neither routes nor settings need a broker: that they name a queue is known while it hangs."""
    reader.prepare(Deadline.after(30), waits_for_tasks=True)
    read = reader.read(Deadline.after(5))
    unread = reader.unread(DOWN)

    for snapshot in (read, unread):
        assert not snapshot.broker.reachable
        assert {queue.name: queue.expected_by for queue in snapshot.queues}["vip"] == ("setting",)
        # One cause, one row: whether they are consumed is not told of each.
        (consumed,) = (check for check in judge(snapshot, SETTINGS).checks if check.id == "queues.consumed")
        assert (consumed.status.value, consumed.subject) == ("unknown", None)


@pytest.mark.parametrize(
    ("exchange", "routing_key", "queue"),
    [
        ("", "celery", "celery"),
        ("celery", "celery", "celery"),
        # Bound by a pattern: the key is no queue's name.
        ("media", "media.video.new", None),
    ],
)
def test_replies__a_routing_key_is_no_queue(exchange: str, routing_key: str, queue: str | None) -> None:
    request = {"id": "1", "name": "t", "delivery_info": {"exchange": exchange, "routing_key": routing_key}}
    replies = {"active": [request], "active_queues": [{"name": "celery"}, {"name": "videos"}]}

    worker = worker_from_builtin("w@h", replies)

    assert [task.queue for task in worker.active] == [queue]
