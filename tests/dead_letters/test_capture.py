"""What becomes a dead letter and what does not: every way a task can end, on both brokers."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.dead_letters.burying import Lying, Yard, lying_in, patiently
from tests.support import Worker
from tests.worker.conftest import PREFIX


def ends_of(
    yard: Yard, calls: dict[tuple[str, str], tuple[str, str] | None], runs: int, worker: Worker
) -> None:
    """Have each (task, what) run, and compare what was buried with the table."""
    wanted = {}
    for call, letter in calls.items():
        task_id = yard.send(*call)
        if letter is not None:
            wanted[task_id] = letter
    # Each note is written before its task ends.
    patiently(lambda: sum(yard.ran().values()) >= runs)
    patiently(lambda: len(yard.reasons()) >= len(wanted))
    worker.stop()
    assert yard.reasons() == wanted
    assert sum(yard.ran().values()) == runs
    assert not yard.counted("internal_errors")
    assert not yard.counted("dead_letters_dropped")
    assert sum(yard.counted("dead_lettered").values()) == len(wanted)


#: What a task is told to do → cause and exception of its letter, None where there is to be none.
ANYWHERE: dict[tuple[str, str], tuple[str, str] | None] = {
    ("early", "succeed"): None,
    ("early", "fail"): ("exception", "Boom"),
    ("late", "fail"): ("exception", "Boom"),
    ("based", "fail"): ("exception", "Boom"),
    ("early", "unpicklable"): ("exception", "Unpicklable"),
    ("early", "unserialisable"): ("exception", "EncodeError"),
    # One letter when the retries are used up, none for those before.
    ("early", "retry"): ("exception", "Boom"),
    ("late", "retry"): ("exception", "Boom"),
    ("early", "retry_once"): None,
    ("early", "ignore"): None,
    ("late", "reject"): ("rejected", "Reject"),
    ("late", "requeue_once"): None,
    # Acknowledged before it ran, so that it goes nowhere.
    ("early", "requeue"): ("rejected", "Reject"),
}
RUNS = len(ANYWHERE) + 4  # three retries and one that was put back

#: Where a child can be lost.
PREFORK: dict[tuple[str, str], tuple[str, str] | None] = {
    ("early", "sys_exit"): ("worker_lost", "SystemExit"),
    ("early", "os_exit"): ("worker_lost", "WorkerLostError"),
    ("early", "kill"): ("worker_lost", "WorkerLostError"),
    ("late", "kill"): ("worker_lost", "WorkerLostError"),
    ("requeued", "kill_once"): None,
    # Runs, goes back twice, and is kept.
    ("requeued", "kill"): ("poison", "WorkerLostError"),
    ("soft", "hang"): ("exception", "SoftTimeLimitExceeded"),
    ("hard", "hang"): ("time_limit", "TimeLimitExceeded"),
    ("hard_late", "hang"): ("time_limit", "TimeLimitExceeded"),
}


@pytest.mark.smoke
def test_ends__prefork(yard: Yard) -> None:
    worker = yard.worker(concurrency=3, letters={"enabled": True, "max_redeliveries": 2})
    ends_of(yard, {**ANYWHERE, **PREFORK}, RUNS + len(PREFORK) + 1 + 2, worker)


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent"])
def test_ends__pools_without_processes(pool: str, yard: Yard) -> None:
    ends_of(yard, ANYWHERE, RUNS, yard.worker(pool=pool, concurrency=1 if pool == "solo" else 4))


def test_refused__what_no_task_was_started_for(yard: Yard) -> None:
    def headers(number: int, name: str, **more: Any) -> dict[str, Any]:
        return {"id": f"m{number}", "task": name, "lang": "py", "argsrepr": "()", **more}

    sound = b"[[], {}, {}]"
    yard.publish(sound, headers=headers(1, "nobody.registers_this"))
    yard.publish(b"[[}", headers=headers(2, PREFIX + "early"))
    yard.publish(
        b"(lp0\n.", content_type="application/x-python-serialize", headers=headers(3, PREFIX + "early")
    )
    yard.publish(sound, headers=headers(4, PREFIX + "early", eta="never"))
    yard.publish(sound, headers={"id": "m5"})
    yard.publish(sound, headers=headers(6, PREFIX + "early", eta="9999-12-31T23:59:59.999999+00:00"))
    # Not for long: revoked by name, and expired.
    yard.send("early", "succeed", expires=-5)
    worker = yard.worker(pool="solo")
    yard.send("early", "succeed")
    patiently(lambda: yard.ran() == {("early", "succeed"): 1})
    patiently(lambda: len(yard.letters()) >= 5)
    worker.stop()
    found = yard.reasons()
    # An ETA of the year 9999 waits, or is refused where the platform's clock ends before.
    found.pop("m6", None)
    assert found == {
        "m1": ("unregistered", "KeyError"),
        "m2": ("undecodable", "DecodeError"),
        "m3": ("undecodable", "ContentDisallowed"),
        "m4": ("invalid", "InvalidTaskError"),
        "m5": ("invalid", ""),
    }
    assert all(letter.reason.attempts == 0 for letter in yard.letters())
    assert not yard.counted("internal_errors")


def test_revoked__while_it_runs_and_before(yard: Yard) -> None:
    worker = yard.worker(concurrency=1).wait_heeds(yard.app)
    running = yard.send("early", "hang")
    waiting = yard.send("early", "succeed")
    patiently(lambda: yard.ran())
    yard.app.control.revoke(waiting, destination=[worker.hostname])
    yard.app.control.revoke(running, terminate=True, destination=[worker.hostname])
    failed = yard.send("early", "fail")
    patiently(lambda: yard.letters())
    worker.stop()
    assert set(yard.reasons()) == {failed}


@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_abandoned__when_the_worker_ends_in_the_middle(yard: Yard) -> None:
    worker = yard.worker(concurrency=2)
    early, late = yard.send("early", "hang"), yard.send("late", "hang")
    patiently(lambda: sum(yard.ran().values()) == 2)
    worker.signal(signal.SIGQUIT)
    worker.wait(40)
    assert yard.reasons() == {early: ("abandoned", "Terminated")}
    # What was not acknowledged is the broker's to deliver again, and no letter.
    assert [one.headers["id"] for one in yard.lying("celery")] == [late]


def by_body(lying: list[Lying]) -> list[Any]:
    return sorted((one.published for one in lying), key=lambda published: published[0])


#: Arguments that no task takes, and so fail it.
HOSTILE: list[dict[str, Any]] = [
    {"args": ["<script>alert(1)</script>", "\x1b[31m\x00\u202e{{ x }}"], "kwargs": {"'": '"'}},
    {"args": ["x" * 10_000_000, 0, 0, 0]},
    {"args": ["\ud800", 0, 0, 0]},
]


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_letter__is_what_was_published(compression: str | None, yard: Yard) -> None:
    for one in HOSTILE:
        yard.app.send_task(
            PREFIX + "early", **one, priority=3, headers={"tenant": "a\"b<c>", "n": 1.5},
            compression=compression, reply_to="somewhere", expires=3600, shadow="<b>",
        )  # fmt: skip
    before = lying_in(yard.app, "celery" if "amqp" in yard.broker_url else "celery\x06\x163")
    assert len(before) == len(HOSTILE)
    worker = yard.worker()
    patiently(lambda: len(yard.letters()) == len(HOSTILE))
    worker.stop()
    after = yard.letters()
    assert by_body(after) == by_body(before)
    for letter in after:
        assert letter.reason.queue == letter.reason.routing_key == "celery"
        assert (letter.reason.cause.value, letter.reason.exception) == ("exception", "TypeError")
        assert letter.reason.priority == 3


def test_letter__unreadable_bodies_are_kept_as_they_are(yard: Yard) -> None:
    for number, (body, content_type, encoding) in enumerate(UNREADABLE):
        headers = {"id": f"m{number}", "task": PREFIX + "early", "lang": "py", "argsrepr": "()"}
        yard.publish(body, content_type=content_type, content_encoding=encoding, headers=headers)
    before = lying_in(yard.app, "celery")
    assert [one.body for one in before] == [body for body, _, _ in UNREADABLE]
    worker = yard.worker(pool="solo")
    patiently(lambda: len(yard.letters()) == len(UNREADABLE))
    worker.stop()
    assert [one.published for one in yard.letters()] == [one.published for one in before]


#: Body, content type, content encoding.
UNREADABLE = [
    (b"\x80\x04\x95\x0b\x00\xff.", "application/x-python-serialize", "binary"),
    (b'[["\xff\xfe', "application/json", "utf-8"),
    (
        json.dumps([["\u00e9", 0, 0, 0], {}, {}], ensure_ascii=False).encode("latin-1"),
        "application/json",
        "latin-1",
    ),
]
