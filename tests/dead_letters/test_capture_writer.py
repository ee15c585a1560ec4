"""The thread that writes: what it does while the broker fails, refuses, or is away, and at the end.

A broker does not fail on demand at a given call: here stands a box of our own in its place. That a real one
is written to again after it was away, `test_capture_outage` shows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celery_health.dead_letters.boxes import Batch, UnwritableError
from celery_health.dead_letters.capture import OVERHEAD_BYTES, Captured, Failure, capture
from celery_health.dead_letters.records import Cause
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, UnsupportedError
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from celery_health.worker.letters.heap import BATCH_BYTES, MAX_WAITING, MAX_WAITING_BYTES, Heap
from celery_health.worker.letters.writer import LetterWriter
from tests.support import eventually

SEPARATOR = "\x1f"


class Message:
    """What kombu hands over, as far as it is asked."""

    headers: dict[str, Any] = {"id": "1", "task": "t"}
    properties: dict[str, Any] = {}
    delivery_info: dict[str, Any] = {"exchange": "", "routing_key": "celery"}
    content_type = "application/json"
    errors: list[Any] = []

    def __init__(self, body: str | bytes) -> None:
        self.body = body


def letter(body: str | bytes = b"x", queue: str = "celery") -> Captured:
    failure = Failure(cause=Cause.EXCEPTION, exception="Boom", message="boom")
    return capture(Message(body), failure, queue=queue, worker="w@test")


class Box:
    """Takes letters, unless told otherwise."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.answer: Callable[[Batch], int] = lambda batch: 0
        self.open = threading.Event()
        self.open.set()
        self.closed = 0

    def write(self, batch: Batch, deadline: Deadline) -> int:
        assert self.open.wait(20)
        cut = self.answer(batch)
        self.batches.append(batch)
        return cut

    def close(self) -> None:
        self.closed += 1

    @property
    def bodies(self) -> list[Any]:
        return [one.body for batch in self.batches for one in batch.letters]


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def totals() -> Totals:
    return Totals()


@pytest.fixture
def writer(box: Any, totals: Totals) -> Iterator[LetterWriter]:
    writer = LetterWriter(open_box=lambda: box, totals=totals, faults=Faults(totals))
    yield writer
    box.open.set()
    writer.stop(1)
    writer.wait()


def counted(totals: Totals) -> dict[str, int]:
    return {field.replace(SEPARATOR, " "): amount for field, amount in totals.drain().fields.items()}


def test_heap__takes_what_goes_together() -> None:
    heap = Heap()
    for number in range(150):
        heap.put(letter(str(number)))
    heap.put(letter("other", "emails"))
    assert [len(heap.take()) for _ in range(3)] == [100, 50, 1]
    assert heap.take() == ()
    large = "x" * (BATCH_BYTES + 1)
    for body in ("small", large, large):
        heap.put(letter(body))
    assert [len(heap.take()) for _ in range(3)] == [1, 1, 1]


def test_heap__the_oldest_goes_first() -> None:
    heap = Heap()
    dropped = [gone.body for number in range(MAX_WAITING + 3) for gone in heap.put(letter(str(number)))]
    assert dropped == ["0", "1", "2"]
    assert len(heap) == MAX_WAITING


def test_heap__holds_so_many_bytes() -> None:
    heap = Heap()
    tenth = "x" * (MAX_WAITING_BYTES // 10 - OVERHEAD_BYTES)
    assert sum(len(heap.put(letter(tenth))) for _ in range(15)) == 5
    assert len(heap) == 10
    # One that would not fit an empty heap leaves the others alone.
    (dropped,) = heap.put(letter("x" * (MAX_WAITING_BYTES + 1)))
    assert len(dropped.body) > MAX_WAITING_BYTES
    assert len(heap) == 10
    while heap.take():
        pass
    assert heap._bytes == 0


def test_writer__writes_in_order_and_counts(box: Box, writer: LetterWriter, totals: Totals) -> None:
    box.open.clear()
    for number in range(250):
        writer.put(letter(str(number)))
    box.open.set()
    eventually(lambda: len(box.bodies) == 250)
    assert box.bodies == [str(number) for number in range(250)]
    assert all(len(batch.letters) <= 100 for batch in box.batches)
    numbers = [batch.number for batch in box.batches]
    assert numbers == sorted(set(numbers))
    eventually(lambda: writer._is_done())
    writer.stop()
    writer.wait()
    assert box.closed == 1
    assert counted(totals) == {"dead_lettered celery exception": 250}


def test_writer__goes_on_with_the_same_batch(box: Box, writer: LetterWriter, totals: Totals) -> None:
    seen: list[Batch] = []

    def fail_twice(batch: Batch) -> int:
        seen.append(batch)
        if len(seen) < 3:
            raise BrokerError("away")
        return 0

    box.answer = fail_twice
    writer.put(letter("a"))
    eventually(lambda: box.bodies == ["a"])
    # The same number, so that a batch whose answer was lost is not written twice.
    assert {batch.number for batch in seen} == {1}
    eventually(lambda: writer._is_done())
    assert counted(totals) == {"dead_lettered celery exception": 1}


def test_writer__what_has_no_room_is_counted(box: Box, writer: LetterWriter, totals: Totals) -> None:
    box.open.clear()
    writer.put(letter("first"))
    eventually(lambda: not len(writer._heap))  # being written
    for number in range(MAX_WAITING + 7):
        writer.put(letter(str(number)))
    assert counted(totals) == {"dead_letters_dropped celery memory": 7}
    box.open.set()
    eventually(lambda: len(box.bodies) == MAX_WAITING + 1)
    assert box.bodies[:2] == ["first", "7"]


def test_writer__what_the_cap_cut_is_counted(box: Box, writer: LetterWriter, totals: Totals) -> None:
    box.answer = lambda batch: 3
    writer.put(letter())
    eventually(lambda: writer._is_done() and box.batches)
    writer.stop()
    writer.wait()
    assert counted(totals) == {"dead_lettered celery exception": 1, "dead_letters_dropped celery length": 3}


@pytest.mark.parametrize("error", [UnwritableError("its headers"), ValueError("a fault of ours")])
def test_writer__one_bad_letter_does_not_hold_up_the_others(
    error: Exception, box: Box, writer: LetterWriter, totals: Totals
) -> None:
    def refuse(batch: Batch) -> int:
        if any(one.body == "bad" for one in batch.letters):
            raise error
        return 0

    box.answer = refuse
    box.open.clear()
    for body in ("a", "b", "bad", "c"):
        writer.put(letter(body))
    box.open.set()
    eventually(lambda: box.bodies == ["a", "b", "c"])
    eventually(lambda: writer._is_done())
    wanted = {"dead_lettered celery exception": 3, "dead_letters_dropped celery refused": 1}
    if isinstance(error, ValueError):
        wanted["internal_errors letters.write"] = 1
    assert counted(totals) == wanted


def test_writer__a_transport_without_letters(totals: Totals) -> None:
    def unsupported() -> Any:
        raise UnsupportedError("Dead letters are kept on Redis and RabbitMQ.")

    writer = LetterWriter(open_box=unsupported, totals=totals, faults=Faults(totals))
    writer.put(letter())
    eventually(lambda: writer._is_done() and not writer._batches)
    writer.stop()
    writer.wait()
    assert counted(totals) == {"dead_letters_dropped celery refused": 1}


def test_writer__the_end_waits_no_longer_than_told(box: Box, writer: LetterWriter, totals: Totals) -> None:
    box.answer = _away
    writer.put(letter())
    writer.put(letter(queue="emails"))
    writer.stop(0.3)
    writer.wait()
    assert writer._ended.acquire(True, 5)
    writer._ended.release()
    # Once more, in the thread that ends the process; then it is lost, and said so.
    writer.flush_rest()
    assert counted(totals) == {
        "dead_letters_dropped celery shutdown": 1,
        "dead_letters_dropped emails shutdown": 1,
    }


def test_writer__what_comes_after_the_end_is_still_written(box: Box, writer: LetterWriter) -> None:
    writer.put(letter("before"))
    writer.stop()
    writer.wait()
    writer.put(letter("after"))
    writer.flush_rest()
    assert box.bodies == ["before", "after"]


def test_writer__the_first_letter_comes_after_the_end(box: Box, writer: LetterWriter) -> None:
    writer.stop()
    writer.wait()
    writer.put(letter("late"))
    writer.flush_rest()
    assert box.bodies == ["late"]


def test_put__never_waits_for_the_broker(box: Box, writer: LetterWriter) -> None:
    box.open.clear()
    done = threading.Event()

    def fail_a_lot() -> None:
        for _ in range(1000):
            writer.put(letter())
        done.set()

    thread = threading.Thread(target=fail_a_lot)
    thread.start()
    assert done.wait(10)
    thread.join()
    assert not box.batches


def _away(batch: Batch) -> int:
    raise BrokerError("away")
