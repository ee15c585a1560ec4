"""What is lost, by what was read: a table of both judgements."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.brokers.base import LongUnacked, UnackedMessage
from celery_health.conf import Limits
from celery_health.reading.consumption import ConsumerEvidence, Silent
from celery_health.reading.lost import losses_of, lost_runs, orphans_of
from celery_health.records import Losses, LostRuns, Orphans, Source, Worker, WorkerState
from celery_health.store.base import StoredRecord
from celery_health.testing import make_worker

LIMITS = Limits()


def row(task_id: str, ran: float = 10.0, **fields: Any) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "task_name": "shop.pay",
        "runtime_seconds": ran,
        "acknowledged": True,
        **fields,
    }


def stored(*rows: dict[str, Any], age: float = 40.0, writer: str = "w1", **record: Any) -> StoredRecord:
    whole = {"active": list(rows), "active_count": len(rows), **record}
    return StoredRecord(name=f"{writer}@host", writer=writer, age_seconds=age, record=whole)


ALIVE = stored(age=1.0, writer="w2")


def found(*records: StoredRecord, after: float | None = 3600.0, **fields: Any) -> tuple[LostRuns, ...]:
    return lost_runs(records, fields.get("workers", ()), LIMITS, returns_after=after)


@pytest.mark.parametrize(
    ("records", "count"),
    [
        # Silent for longer than a worker that lives ever is, and it ran two.
        ((stored(row("a"), row("b")), ALIVE), 2),
        # It may only be late.
        ((stored(row("a"), age=29.0), ALIVE), 0),
        # It ended in peace: nothing was left.
        ((stored(row("a"), goodbye=True), ALIVE), 0),
        # Told to stop, and killed before its tasks were done.
        ((stored(row("a"), draining=True), ALIVE), 1),
        # It ran nothing.
        ((stored(), ALIVE), 0),
        # Long ago: nobody needs to be told any more.
        ((stored(row("a"), age=601.0), ALIVE), 0),
        # It names a hundred, and ran more.
        ((stored(*[row(str(n)) for n in range(100)], active_count=120), ALIVE), 120),
        # One runs elsewhere, and has not for long: it began again.
        ((stored(row("a"), row("b")), stored(row("a", 5.0), age=1.0, writer="w2")), 1),
        # It ran elsewhere before (a visibility timeout that is too short), and there it runs on.
        ((stored(row("a", 10.0)), stored(row("a", 3000.0), age=1.0, writer="w2")), 1),
        # It was over in a moment: the worker where it began again says so.
        ((stored(row("a"), row("b")), stored(age=1.0, writer="w2", restarted=[["a", 3.0]])), 1),
        # That was before.
        ((stored(row("a", 10.0)), stored(age=1.0, writer="w2", restarted=[["a", 300.0]])), 1),
        # Two vanished one after the other with one run: it is told of the later.
        ((stored(row("a"), age=200.0), stored(row("a"), age=40.0, writer="w2")), 1),
        # Its own word that it had been redelivered to it proves nothing.
        ((stored(row("a"), restarted=[["a", 10.0]]), ALIVE), 1),
        # What another version or somebody else wrote.
        ((stored({"task_id": 7, "acknowledged": "yes"}, restarted=[3, ["a"], ["b", "c"]]), ALIVE), 1),
        ((StoredRecord(name="x", writer="x", age_seconds=40.0, record={"active": 3}), ALIVE), 0),
    ],
)
def test_runs__count(records: tuple[StoredRecord, ...], count: int) -> None:
    assert sum(lost.count for lost in found(*records)) == count


def gave_up(*rows: dict[str, Any], **record: Any) -> StoredRecord:
    whole = {"given_up_count": len(rows), "goodbye": True, "draining": True, **record}
    return stored(given_up=list(rows), **whole)


@pytest.mark.parametrize(
    ("records", "count"),
    [
        # By its own word, however long ago that was, within what is remembered.
        ((gave_up(row("a"), row("b"), age=1.0), ALIVE), 2),
        ((gave_up(row("a"), given_up_count=120, age=500.0), ALIVE), 120),
        ((gave_up(row("a"), age=601.0), ALIVE), 0),
        # It is still ending.
        ((gave_up(row("a"), goodbye=False, age=1.0), ALIVE), 1),
        # And is killed over it: what ran on besides is another's.
        ((gave_up(row("a"), row("b"), goodbye=False, active_count=1, age=40.0), ALIVE), 3),
        # What it gave up it still names as running (an error ended it).
        ((gave_up(row("a"), active=[row("a")], active_count=1, goodbye=False, age=40.0), ALIVE), 1),
        # One began again elsewhere.
        ((gave_up(row("a"), row("b"), age=9.0), stored(row("a", 5.0), age=1.0, writer="w2")), 1),
        ((gave_up(row("a"), age=9.0), stored(age=1.0, writer="w2", restarted=[["a", 3.0]])), 0),
        # What somebody else wrote.
        ((stored(given_up="no", given_up_count="3", goodbye=True), ALIVE), 0),
    ],
)
def test_runs__given_up(records: tuple[StoredRecord, ...], count: int) -> None:
    lost = found(*records)
    assert sum(one.count for one in lost) == count
    assert count == 0 or any(one.are_given_up for one in lost)


def test_runs__a_proof_waits_for_no_limit() -> None:
    worker = make_worker("w1@host", state=WorkerState.GONE, writer="w1", is_disconnected=True)
    assert found(stored(row("a"), age=7.0), workers=[worker])
    assert not found(stored(row("a"), age=7.0), workers=[make_worker("w1@host", writer="w1")])


def test_runs__who_comes_back_and_when() -> None:
    [lost] = found(stored(row("a"), row("b", 100.0, acknowledged=False), row("c", acknowledged=None)))
    assert [(run.task_id, run.is_acknowledged, run.returns_seconds) for run in lost.runs] == [
        ("a", True, None), ("b", False, 3600.0 - 140.0), ("c", None, None),
    ]  # fmt: skip
    assert (len(lost.gone), len(lost.returning), lost.untold) == (1, 1, 1)


def test_runs__on_rabbitmq_late_ones_are_back_at_once() -> None:
    late = row("b", acknowledged=False)
    assert found(stored(late), after=0.0) == ()
    [lost] = found(stored(row("a"), late), after=0.0)
    assert (lost.count, [run.task_id for run in lost.runs]) == (1, ["a"])


# Messages that nobody holds ------------------------------------------------------------------------------

NOW = 10_000.0


def tag(number: int) -> str:
    return f"{number:08d}-and-more"


def long(*ages: float, queue: str | None = "celery", total: int | None = None) -> LongUnacked:
    messages = tuple(
        UnackedMessage(tag=tag(n), queue=queue, taken_at=NOW - age) for n, age in enumerate(ages)
    )
    return LongUnacked(total=len(ages) if total is None else total, messages=messages)


def holder(*numbers: int, count: int | None = None, **fields: Any) -> Worker:
    options = {
        "queues": ("celery",),
        "unacked_count": len(numbers) if count is None else count,
        "unacked_tags": "".join(f"{n:08d}" for n in numbers),
        "source": Source.HEARTBEATS,
        **fields,
    }
    return make_worker(options.pop("hostname", "w@host"), **options)


def orphans(read: LongUnacked | None, *workers: Worker, **evidence: Any) -> tuple[Orphans, ...]:
    return orphans_of(
        read, ConsumerEvidence(workers=workers, **evidence), ["celery"], now=NOW, returns_after=3600.0
    )


GONE = {"hostname": "x@host", "state": WorkerState.GONE}


@pytest.mark.parametrize(
    ("read", "workers", "counts"),
    [
        # The broker does not list them; it lists none.
        (None, [holder()], []),
        (LongUnacked(total=0), [holder()], []),
        # A live worker holds all of them: a long task, or an ETA.
        (long(100.0, 200.0), [holder(0, 1)], []),
        # It holds one, and nobody the other.
        (long(100.0, 200.0), [holder(1)], [(1, False)]),
        # No worker is there at all.
        (long(100.0, 200.0), [], [(2, False)]),
        # Whoever vanished holds nothing any more.
        (long(100.0, 200.0), [holder(), holder(0, 1, **GONE)], [(2, False)]),
        # One that drains, or reconnects, holds what it works on, whatever it is subscribed to.
        (long(100.0), [holder(0, queues=(), state=WorkerState.DRAINING)], []),
        # It holds more than it names: so many of them may be its.
        (long(100.0, 200.0, 300.0), [holder(0, count=2)], [(1, True)]),
        (long(100.0, 200.0), [holder(0, count=300)], [(None, False)]),
        # There are more than were looked at.
        (long(100.0, 200.0, total=200_000), [holder()], [(2, True)]),
        (long(100.0, 200.0, total=200_000), [holder(0, 1, count=5_000)], [(195_000, True)]),
        (long(100.0, 200.0, total=5_000), [holder(0, 1, count=5_000)], []),
        # A host's clock is two minutes behind: it took them after its last record.
        (long(121.0, 130.0), [holder(unacked_clock=NOW - 120.0)], []),
        (long(121.0, 190.0), [holder(unacked_clock=NOW - 120.0)], [(1, False)]),
        # Ahead, it stamps them later than it took them: they are seen later.
        (long(100.0), [holder(unacked_clock=NOW + 120.0)], [(1, False)]),
        # Its last record is as old as that.
        (long(100.0), [holder(last_seen_seconds=110.0, unacked_clock=NOW - 110.0)], []),
        (long(100.0, total=5_000), [holder(0, count=9, unacked_clock=NOW - 120.0)], []),
        # Not ours, or nobody can tell whose.
        (long(100.0, queue="theirs"), [holder()], []),
        (long(100.0, queue=None), [holder()], []),
        # Somebody takes from the queue who does not say what it holds.
        (long(100.0), [holder(), holder(hostname="old@host", unacked_count=None)], [(None, False)]),
        (long(100.0), [holder(hostname="plain@host", source=Source.INSPECTION)], [(None, False)]),
        # It takes from another queue.
        (long(100.0), [holder(hostname="old@host", unacked_count=None, queues=("other",))], [(1, False)]),
    ],
)
def test_orphans__count(read: LongUnacked | None, workers: list[Worker], counts: list[object]) -> None:
    assert [(one.count, one.is_minimum) for one in orphans(read, *workers)] == counts


@pytest.mark.parametrize(
    "evidence",
    [
        {"strangers": [make_worker("crm@host", queues=("celery",))]},
        {"silent": [Silent(hostname="silent@host")]},
        {"silent": [Silent(hostname="silent@host", queues=("celery",))], "last_consumed": {"celery": 1.0}},
        {"unasked": "nobody was asked"},
        # That nobody ever saw it there proves nothing: it may hold one message for an hour.
        {"silent": [Silent(hostname="silent@host")], "last_consumed": {"celery": 1.0}},
    ],
)
def test_orphans__not_known_where_somebody_may_hold_them(evidence: dict[str, Any]) -> None:
    [one] = orphans(long(100.0), holder(), **evidence)
    assert (one.queue, one.count) == ("celery", None)
    assert one.unknown
    assert orphans(long(100.0, total=9_999), holder(0), **evidence) == ()


def test_orphans__who_held_them_and_when_they_come_back() -> None:
    record = StoredRecord(
        name="x@host", writer="x", age_seconds=50.0, record={"unacked": {"tags": "00000001"}}
    )
    read = long(100.0, 400.0)
    present = holder(writer="w")
    [one] = orphans_of(
        read,
        ConsumerEvidence(workers=[present]),
        ["celery"],
        now=NOW,
        returns_after=3600.0,
        records=[record, StoredRecord(name="w@host", writer="w", age_seconds=1.0, record={"unacked": 3})],
    )
    assert (one.oldest_seconds, one.first_returns_seconds, one.last_returns_seconds) == (
        400.0,
        3200.0,
        3500.0,
    )
    assert one.held_by == ("x@host",)
    assert orphans(read, present, holder(0, 1, writer="g", **GONE))[0].held_by == ("x@host",)


@pytest.mark.parametrize(("age", "count"), [(4.0, 1), (29.0, 1), (31.0, 2)])
def test_orphans__one_that_drains_is_hidden_by_its_successor_until_it_reports_again(
    age: float, count: int
) -> None:
    record = StoredRecord(
        name="w@host", writer="old", age_seconds=age, record={"unacked": {"tags": "00000001"}}
    )
    [one] = orphans_of(
        long(100.0, 400.0),
        ConsumerEvidence(workers=[holder(writer="new")]),
        ["celery"],
        now=NOW,
        returns_after=3600.0,
        records=[record],
        silent_seconds=30.0,
    )
    assert one.count == count


def test_losses__a_run_of_who_vanished_is_no_message_that_nobody_holds_besides() -> None:
    """It held four: two ran, and are named with their worker; two waited for a slot."""
    rows = [row("a", acknowledged=False, tag="00000000"), row("b", acknowledged=False, tag="00000001")]
    record = stored(*rows, age=100.0, unacked={"count": 4, "tags": "00000000000000010000000200000003"})

    def found(*ages: float, now: float = NOW, total: int | None = None) -> Losses:
        return losses_of(
            [record],
            long(*ages, total=total),
            ConsumerEvidence(workers=[holder(hostname="new@host", writer="new")]),
            ["celery"],
            LIMITS,
            now=now,
            returns_after=3600.0,
        )

    losses = found(100.0, 110.0, 120.0, 130.0)
    assert [(lost.hostname, lost.count) for lost in losses.runs] == [("w1@host", 2)]
    assert [(one.count, one.oldest_seconds, one.held_by) for one in losses.orphans] == [
        (2, 130.0, ("w1@host",))
    ]
    assert found(100.0, 110.0).orphans == ()
    # More than were looked at: the two are among them.
    assert found(total=2).orphans == ()
    assert [one.count for one in found(total=5).orphans] == [3]
