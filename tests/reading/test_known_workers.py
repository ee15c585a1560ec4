"""Who is asked, how often, and when a name is proven to be nobody's."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.reading.inspection import Replies
from celery_health.reading.known_workers import KnownWorkers
from celery_health.reading.questions import Census
from celery_health.records import WorkerState
from celery_health.topology import Topology

TOPOLOGY = Topology()


def report(app_id: str = "shop", *queues: str) -> dict[str, Any]:
    return {"app_id": app_id, "queues": list(queues or ("celery",))}


def known(now: float = 0.0, silent: tuple[str, ...] = (), **reports: dict[str, Any]) -> KnownWorkers:
    workers = KnownWorkers("shop", memory_seconds=3600)
    replies = Replies(reports=reports, reporting=frozenset(reports), silent=silent)
    workers.note_replies(replies, TOPOLOGY, now)
    return workers


def census(*names: str, complete: bool = True) -> Census:
    return Census(names=frozenset(names), listeners=len(names), is_complete=complete)


def states(workers: KnownWorkers, *names: str, now: float = 0.0) -> dict[str, WorkerState]:
    return {worker.hostname: worker.state for worker in workers.workers(names, now)}


def test_known__ours_is_asked_each_time_and_a_foreign_one_each_half_minute() -> None:
    workers = known(a=report(), b=report("crm"))

    assert workers.due(["a", "b", "new"], 1.0) == ["a", "new"]
    assert workers.due(["a", "b"], 30.0) == ["a", "b"]
    assert [worker.hostname for worker in workers.foreign(["a", "b"])] == ["b"]
    assert states(workers, "a", "b") == {"a": WorkerState.OK}


def test_known__a_silent_one_is_asked_less_and_less_often() -> None:
    workers = known(silent=("a",))
    asked, now = [], 0.0
    while now < 400.0:
        if workers.due(["a"], now):
            asked.append(now)
            workers.note_replies(Replies(silent=("a",)), TOPOLOGY, now)
        now += 1.0
    assert asked == [5.0, 15.0, 35.0, 75.0, 155.0, 315.0]


def test_known__is_gone_when_two_complete_censuses_missed_it() -> None:
    workers = known(a=report(), b=report())
    names = ("a", "b")
    workers.note_replies(Replies(reports={"a": report()}, silent=("b",)), TOPOLOGY, 1.0)
    assert states(workers, *names, now=1.0) == {"a": WorkerState.OK, "b": WorkerState.UNKNOWN}

    workers.note_census(census("a"), names, 1.0)
    assert states(workers, *names, now=1.0)["b"] is WorkerState.UNKNOWN
    workers.note_census(census("a"), names, 3.0)

    assert states(workers, *names, now=3.0)["b"] is WorkerState.GONE
    assert workers.due(names, 500.0) == ["a"]
    assert workers.silent(names) == ()


def test_known__an_incomplete_census_proves_nothing_and_the_next_begins_anew() -> None:
    workers = known(a=report())
    names = ("a", "b")
    workers.note_census(census("a"), names, 1.0)
    workers.note_census(census("a", complete=False), names, 3.0)
    workers.note_census(census("a"), names, 5.0)

    assert workers.gone(names) == []
    workers.note_census(census("a"), names, 7.0)
    assert workers.gone(names) == ["b"]


def test_known__a_name_that_never_answered_and_listens_no_more_is_nobody() -> None:
    """The binding that a killed worker left blinds nothing, from the first complete census on."""
    workers = KnownWorkers("shop", memory_seconds=3600)
    workers.note_census(census("a"), ("a", "dead"), 0.0)

    assert workers.silent(("a", "dead")) == ()
    assert states(workers, "dead") == {}
    assert workers.due(("a", "dead"), 0.0) == ["a"]


def test_known__who_comes_back_is_asked_at_once() -> None:
    workers = known(a=report())
    for now in (1.0, 3.0):
        workers.note_census(census(), ("a",), now)
    assert states(workers, "a", now=3.0) == {"a": WorkerState.GONE}
    workers.note_census(census("a"), ("a",), 40.0)

    assert workers.due(["a"], 40.0) == ["a"]


def test_known__a_silent_foreign_one_is_no_consumer_any_more() -> None:
    workers = known(b=report("crm", "emails"))
    workers.note_replies(Replies(silent=("b",)), TOPOLOGY, 31.0)

    assert workers.foreign(["b"]) == ()
    (silent,) = workers.silent(["b"])
    assert (silent.hostname, silent.queues) == ("b", ("emails",))
    assert states(workers, "b") == {}


def test_known__a_busy_foreign_one_is_remembered_for_some_minutes_while_it_may_live() -> None:
    def busy(workers: KnownWorkers, now: float) -> list[str]:
        return [worker.hostname for worker in workers.foreign_busy(["a", "b"], now)]

    workers = known(a=report(), b=report("crm"))
    assert busy(workers, 1.0) == []

    workers.note_replies(Replies(silent=("a", "b")), TOPOLOGY, 31.0)
    assert busy(workers, 31.0) == ["b"]
    assert busy(workers, 300.0) == []
    # Nobody listens under its name: it has ended.
    workers.note_census(census("a"), ["a", "b"], 32.0)
    assert busy(workers, 33.0) == []


def test_known__only_who_says_so_is_asked_for_its_record() -> None:
    workers = known(a=report())
    assert workers.reporting(["a", "new"]) == {"a"}
    assert workers.reporting(["new"]) == workers.reporting(["new"], are=False) == frozenset()

    for reporting in (True, False):
        replies = Replies(builtin={"a": {"stats": {}}}, reporting=frozenset(["a"] if reporting else []))
        workers.note_replies(replies, TOPOLOGY, 0.0)
        assert (workers.reporting(["a"]) == {"a"}) is reporting
        assert (workers.reporting(["a"], are=False) == {"a"}) is not reporting

    # When it answers again it may be another process.
    workers.note_replies(Replies(silent=("a",)), TOPOLOGY, 1.0)
    assert workers.reporting(["a"]) == workers.reporting(["a"], are=False) == frozenset()


def test_known__whose_it_is_counts_by_its_own_word_before_what_it_consumes() -> None:
    workers = KnownWorkers("shop", memory_seconds=3600)
    telling = {"active_queues": [{"name": "celery"}], "registered": ["shop.add"]}
    topology = Topology(expected={"celery": ("task:shop.add",)}, own_tasks=frozenset({"shop.add"}))
    builtin = {
        app_id: {"stats": {"celery_health": {"app_id": app_id}}, **telling} for app_id in ("shop", "crm")
    }
    workers.note_replies(Replies(builtin=builtin), topology, 0.0)

    assert list(states(workers, "shop", "crm")) == ["shop"]
    assert [worker.hostname for worker in workers.foreign(["shop", "crm"])] == ["crm"]


ODD: list[tuple[str, dict[str, Any]]] = [
    ("reports", {"queues": 7, "active": "x", "held_back": [3], "versions": []}),
    ("reports", {"active_by_queue": {"a": "b"}, "pid": "x", "registered": {"a": 1}}),
    ("builtin", {"active": [{"delivery_info": {"exchange": "", "routing_key": ["a"]}}]}),
    ("builtin", {"stats": {"total": {"a": "b"}, "pool": 3}}),
    ("builtin", {"stats": {"total": {"a": None}}, "active_queues": [3], "scheduled": [{"request": 1}]}),
]


@pytest.mark.parametrize(("kind", "reply"), ODD)
def test_known__one_odd_reply_hides_no_other(kind: str, reply: dict[str, Any]) -> None:
    workers = KnownWorkers("shop", memory_seconds=3600)
    given = {
        "reports": {"a": report()},
        kind: {"odd": reply, **({"a": report()} if kind == "reports" else {})},
    }
    workers.note_replies(Replies(**given), TOPOLOGY, 0.0)

    assert states(workers, "a")["a"] is WorkerState.OK


def test_known__a_reply_that_cannot_be_read_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A double: nothing that is known raises any more."""

    def fails(*args: object, **kwargs: object) -> None:
        raise TypeError("odd")

    monkeypatch.setattr("celery_health.reading.known_workers.worker_from_builtin", fails)
    workers = KnownWorkers("shop", memory_seconds=3600)
    workers.note_replies(Replies(reports={"a": report()}, builtin={"b": {}}), TOPOLOGY, 0.0)

    assert states(workers, "a", "b") == {"a": WorkerState.OK, "b": WorkerState.UNKNOWN}


def test_known__a_gone_one_is_forgotten_in_time() -> None:
    workers = KnownWorkers("shop", memory_seconds=600)
    workers.note_replies(Replies(reports={"a": report()}), TOPOLOGY, 0.0)
    for now in range(10, 1000, 30):
        workers.note_census(census(), ("a",), now)
        assert states(workers, "a", now=now).get("a") is not WorkerState.OK
    assert states(workers, "a", now=1000.0) == {}


def test_known__who_answers_a_discovery_is_asked_again_at_once() -> None:
    """Where nobody counts who listens, a worker that was busy for long is not to stay unknown."""
    workers = known(a=report())
    for now in (1.0, 6.0, 16.0, 36.0):
        workers.note_replies(Replies(silent=("a",)), TOPOLOGY, now)
    workers.note_listening(("a",), 40.0)

    assert workers.due(["a"], 40.0) == ["a"]
    assert workers.due(["a"], 40.0, most_pause_seconds=30.0) == ["a"]


def test_known__one_whose_mailbox_is_gone_is_asked_when_it_answers_a_discovery_again() -> None:
    workers = known(a=report(), b=report("crm"))
    workers.note_replies(Replies(silent=("a",)), TOPOLOGY, 1.0)
    assert workers.listening == ("a", "b")

    workers.note_gone(("a", "never met"), 2.0)
    assert workers.listening == ("b",)
    assert states(workers, "a", now=2.0) == {"a": WorkerState.GONE}
    # The answer that it gave before it went proves nothing.
    workers.note_listening(("a",), 1.5)
    assert workers.due(["a"], 60.0) == []

    workers.note_listening(("a",), 3.0)
    assert workers.listening == ("a", "b")
    assert workers.due(["a"], 3.0) == ["a"]


def test_known__a_silent_foreign_one_is_not_missing_among_ours() -> None:
    workers = known(b=report("crm"))
    workers.note_replies(Replies(silent=("b", "c")), TOPOLOGY, 31.0)

    assert {one.hostname: one.is_foreign for one in workers.silent(["b", "c"])} == {"b": True, "c": False}
