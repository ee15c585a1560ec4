"""Messages that are not run, or not to their end: revoked, expired, unknown, unreadable, untrusted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery import Celery

from tests.support import Worker
from tests.worker.conftest import Ledger, patiently
from tests.worker.raw import push, task_headers


def counted(ledger: Ledger, *key: str) -> int:
    return ledger.totals().get(key, 0)


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_revoked__while_it_runs(pool: str, ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker(pool=pool).wait_heeds(ledger.app)
    task_id = ledger.send("early", "hang")
    patiently(lambda: counted(ledger, "started", "early"))
    ledger.app.control.revoke(task_id, terminate=True, destination=[worker.hostname])
    patiently(lambda: counted(ledger, "revoked", "early"))
    # The slot is free again, and what the killed run left behind is not counted as an end of its own.
    ledger.send("early", "succeed")
    patiently(lambda: counted(ledger, "succeeded", "early"))
    worker.stop()
    assert ledger.totals() == {
        ("received", "early"): 2,
        ("started", "early"): 2,
        ("revoked", "early"): 1,
        ("succeeded", "early"): 1,
    }


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_revoked__before_it_runs(pool: str, ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker(pool=pool, queues=["nothing"]).wait_heeds(ledger.app)
    task_id = ledger.send("early", "succeed")
    ledger.app.control.revoke(task_id, destination=[worker.hostname])
    ledger.send("early", "succeed", expires=-5)
    assert ledger.app.control.add_consumer("celery", destination=[worker.hostname], reply=True, timeout=20)
    patiently(lambda: counted(ledger, "revoked", "early") == 2)
    worker.stop()
    # What had expired counts among the revoked, too.
    assert ledger.totals() == {("received", "early"): 2, ("revoked", "early"): 2, ("expired", "early"): 1}
    assert not ledger.ran()


def test_revoked__while_reserved(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker(concurrency=1).wait_heeds(ledger.app)
    ledger.send("early", "succeed", 2)
    waiting = ledger.send("early", "succeed")
    patiently(lambda: counted(ledger, "received", "early") == 2)
    ledger.app.control.revoke(waiting, destination=[worker.hostname])
    patiently(lambda: counted(ledger, "succeeded", "early") == 1)
    worker.stop()
    assert ledger.totals() == {
        ("received", "early"): 2,
        ("started", "early"): 1,
        ("succeeded", "early"): 1,
        ("revoked", "early"): 1,
    }


def test_unknown__name_is_counted_once(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker()
    ledger.app.send_task("nobody.registers_this")
    patiently(lambda: counted(ledger, "unknown", "nobody.registers_this"))
    worker.stop()
    assert ledger.totals() == {("unknown", "nobody.registers_this"): 1}


@pytest.mark.parametrize(
    ("body", "content_type", "name", "counted_as"),
    [
        # Cannot be decoded: Celery sends no signal for it.
        (b"[[}", "application/json", "early", "early"),
        # Not accepted by accept_content.
        (b"(lp0\n.", "application/x-python-serialize", "early", "early"),
        # Decodes to what is no task.
        (b"[[], {}, {}]", "application/json", None, ""),
        # An ETA that is none.
        (b"[[], {}, {}]", "application/json", "bad eta", "early"),
        # A name that is not registered is no label, however unreadable the rest is.
        (b"[[}", "application/json", "unheard_of", None),
    ],
)
def test_rejected__messages_that_cannot_be_run(
    body: bytes,
    content_type: str,
    name: str | None,
    counted_as: str | None,
    ledger: Ledger,
    truth_worker: Callable[..., Worker],
) -> None:
    worker = truth_worker(pool="solo")
    headers = task_headers(name or "") if name else {"id": "x"}
    if name == "bad eta":
        headers = task_headers("early", eta="never")
    push(ledger.client, body, content_type=content_type, headers=headers)
    ledger.send("late", "succeed")
    patiently(lambda: counted(ledger, "succeeded", "late"))
    worker.stop()
    rest = {key: total for key, total in ledger.totals().items() if "late" not in key}
    if counted_as is None:
        assert rest == {("unknown", "unheard_of"): 1}
    elif counted_as:
        assert rest == {("received", counted_as): 1, ("rejected", counted_as): 1}
    else:
        assert rest == {("rejected", ""): 1}


def test_queue_wait__etas_and_redeliveries_are_left_out(
    ledger: Ledger, truth_worker: Callable[..., Worker]
) -> None:
    worker = truth_worker(pool="threads", concurrency=2)
    ledger.send("early", "succeed")
    ledger.send("late", "requeue_once")
    ledger.send("soft", "succeed", countdown=0.5)
    ledger.settled(4)
    worker.stop()
    # Sent by Celery alone, without a stamp: the test's own app is nobody's, yet this process stamps.
    assert ledger.runs_timed("queue_wait") == {"early": 1, "late": 1}
    assert ledger.runs_timed("runtime") == {"early": 1, "late": 2, "soft": 1}


def test_memory_error__ends_the_worker_and_is_counted(
    ledger: Ledger, truth_worker: Callable[..., Worker]
) -> None:
    worker = truth_worker()
    ledger.send("early", "memory_error")
    assert worker.wait(20) != 0
    assert ledger.totals() == {
        ("received", "early"): 1,
        ("started", "early"): 1,
        ("failed", "early", "MemoryError"): 1,
    }
    # Nobody told it to end: it is to be missed.
    assert ledger.record(worker.hostname)["goodbye"] is False
    assert ledger.record(worker.hostname)["draining"] is False


def test_monitor_all_tasks__off_leaves_only_those_that_ask(
    ledger: Ledger, truth_worker: Callable[..., Worker], make_app: Callable[..., Celery]
) -> None:
    worker = truth_worker(
        health={"MONITOR_ALL_TASKS": False, "FLUSH_INTERVAL": 0.2}, conf={"include": ["tests.worker.asking"]}
    )
    for name in (
        "tests.project.tasks.noop",
        "tests.worker.asking.by_base",
        "tests.worker.asking.by_decorator",
    ):
        ledger.app.send_task(name)
    patiently(lambda: sum(key[0] == "succeeded" for key in ledger.totals()) == 2)
    worker.stop()
    assert {key[1] for key in ledger.totals()} == {
        "tests.worker.asking.by_base",
        "tests.worker.asking.by_decorator",
    }
