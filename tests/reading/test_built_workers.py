"""What is kept of a worker from one reading to the next: the same comes of it as of reading all anew."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pytest

from celery_health.conf import Limits
from celery_health.reading.built_workers import BuiltWorkers
from celery_health.reading.processes import Shown
from celery_health.records import Worker, WorkerState
from celery_health.store.base import StoredRecord

LIMITS: Final = Limits()
REGISTERED: Final = {"f": ("shop.tasks.pay",), "g": ("shop.tasks.ship",)}
ROW: Final = {"task_id": "i", "task_name": "shop.tasks.pay", "queue": "q", "runtime_seconds": 1.5}

WHOLE: Final = (
    "pid", "concurrency", "children", "children_restarted", "active_count", "reserved_count",
    "scheduled_count", "processed", "prefetch_count",
)  # fmt: skip
TEXTS: Final = ("app_id", "pool", "config", "broker", "connection_name", "mailbox")
SECONDS: Final = (
    "childless_seconds", "children_lost_per_minute", "unread_seconds", "idle_seconds", "loop_age_seconds",
    "read_age_seconds", "progress_age_seconds",
)  # fmt: skip
COUNTS: Final = ("active_by_queue", "reserved_by_queue", "scheduled_by_queue")
#: Key of a record → two things that a worker may say there, and one that it may not.
SAYS: Final[Mapping[str, tuple[Any, Any, Any]]] = {
    **dict.fromkeys(WHOLE, (1, 2, "many")),
    **dict.fromkeys(TEXTS, ("a", "b", 5)),
    **dict.fromkeys(SECONDS, (1.0, 500.0, True)),
    **dict.fromkeys(COUNTS, ({"q": 1}, {"q": 2, "p": 1}, ["q"])),
    "fingerprint": ("f", "g", "unknown"),
    "unacked": ({"count": 1, "clock": 5.0, "tags": "abc"}, {"count": 2, "clock": 6.0}, 7),
    "active": ([ROW], [{**ROW, "runtime_seconds": 9.0, "limit_seconds": 60}, ROW], "none"),
    "reserved": ([ROW], [ROW, ROW], 3),
    "scheduled": ([{**ROW, "eta": "2030-01-01T00:00:00Z"}], [], None),
    "queues": (["q"], ["q", "p"], "q"),
    "cancelled_queues": (["c"], [], 1),
    "single_active_queues": (["s"], ["s", "t"], {}),
    "due_by_queue": ({}, {"q": {"count": 3, "oldest_seconds": 4.0}}, []),
    "names_on_broker": ({"news": ["bcast.1"]}, {"news": ["bcast.2"]}, {}),
    "held_back": ([], [{"by": "rate", "task_name": "t", "count": 1}], "x"),
    "is_cut": (False, True, 1),
    "paused": (False, True, 1),
    "draining": (False, True, 1),
    "starting": (False, True, 1),
    "goodbye": (False, True, 1),
    "ready": (True, False, 1),
    "connected": (True, False, 0),
    "exit": (None, {"cause": "no disk", "at_start": True}, "gone"),
    "started_at": (1.7e9, "2030-01-01T00:00:00Z", "never"),
    "versions": ({"celery": "5.4"}, {"celery": "5.5"}, 5),
    "registered": (None, ["shop.tasks.own"], 5),
}
FIRST: Final = {key: values[0] for key, values in SAYS.items()}


def shown(record: Mapping[str, Any], age_seconds: float = 1.0, *, is_doubled: bool = False) -> Shown:
    stored = StoredRecord(name="w@h", record=record, age_seconds=age_seconds, writer="a1")
    return Shown(stored, is_doubled)


def read(built: BuiltWorkers, one: Shown) -> Worker:
    worker = built.worker(one, REGISTERED)
    built.keep()
    return worker


def anew(one: Shown) -> Worker:
    return read(BuiltWorkers(LIMITS), one)


def record(said: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(said))


@pytest.mark.parametrize("key", sorted(SAYS))
def test_changed_record__is_seen_whatever_changed(key: str) -> None:
    built = BuiltWorkers(LIMITS)
    read(built, shown(record(FIRST)))
    without = {name: value for name, value in FIRST.items() if name != key}
    for said in (*({**FIRST, key: value} for value in SAYS[key][1:]), without, FIRST):
        one = shown(record(said))
        assert read(built, one) == anew(one), (key, said.get(key))


def test_attributes__each_is_read_of_a_record() -> None:
    # Who adds one to a record finds out here that it is to be compared, too.
    first, second = ({key: values[place] for key, values in SAYS.items()} for place in (0, 1))
    bare, *full = (vars(anew(shown(record(said)))) for said in ({}, first, second))
    same = {name for name, value in bare.items() if all(one[name] == value for one in full)}
    # What the store and the broker say of a worker, and its name.
    assert same == {
        "hostname", "source", "writer", "is_doubled", "is_disconnected", "starts", "last_seen_seconds",
    }  # fmt: skip


def test_unchanged_record__only_ages_and_what_they_decide_change() -> None:
    built = BuiltWorkers(LIMITS)
    said = record(FIRST)
    young = read(built, shown(said))
    old = read(built, shown(said, 7.0))
    assert (old.last_seen_seconds, old.loop_age_seconds, old.longest_running_seconds) == (7.0, 8.0, 8.5)
    assert [task.runtime_seconds for task in old.active] == [8.5]
    assert old.state is young.state
    lost = shown(said, LIMITS.worker_lost_seconds + 1)
    assert read(built, lost).state is WorkerState.GONE
    assert read(built, lost) == anew(lost)
    assert read(built, shown(said)) == young


def test_registered_names__are_seen_when_they_come_later_than_the_record() -> None:
    built = BuiltWorkers(LIMITS)
    one = shown(record(FIRST))
    assert built.worker(one, {}).registered is None
    built.keep()
    assert built.worker(one, REGISTERED).registered == {"shop.tasks.pay"}


def test_namesake__is_seen_when_it_comes_and_goes() -> None:
    built = BuiltWorkers(LIMITS)
    said = record(FIRST)
    assert [read(built, shown(said, is_doubled=is_one)).is_doubled for is_one in (False, True, False)] == [
        False, True, False,
    ]  # fmt: skip


def test_changed_type__is_seen_though_python_takes_both_for_the_same() -> None:
    built = BuiltWorkers(LIMITS)
    read(built, shown(record({**FIRST, "active_count": 1})))
    assert read(built, shown(record({**FIRST, "active_count": True}))).active_count is None
