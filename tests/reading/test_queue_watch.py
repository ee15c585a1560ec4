"""What a process remembers of a queue from reading to reading."""

from __future__ import annotations

from celery_health.brokers.base import QueueReading
from celery_health.reading.queue_watch import QueueWatch


def look(
    watch: QueueWatch, now: float, *, consumed: bool | None, named: bool = False, ready: int = 3
) -> None:
    watch.note(QueueReading(name="q", ready=ready), now)
    watch.note_consumption("q", is_consumed=consumed, is_by_name=named, now=now, most_gap_seconds=30.0)


def bare(watch: QueueWatch, now: float) -> float:
    return watch.watched("q", now, most_gap_seconds=30.0).unconsumed_seconds


def test_watch__counts_while_it_looks() -> None:
    watch = QueueWatch()
    for now in range(0, 70, 10):
        look(watch, now, consumed=False)
        assert bare(watch, now) == now
    look(watch, 70, consumed=True, named=True)
    assert bare(watch, 70) == 0.0


def test_watch__does_not_believe_a_time_without_readings() -> None:
    """A consumer was there meanwhile: absent for 7 s, there for 62, absent for 7."""
    watch = QueueWatch()
    look(watch, 0, consumed=False)
    look(watch, 7, consumed=False)
    look(watch, 69, consumed=False)
    assert bare(watch, 76) == 44.0  # 7, 30 of 62, 7


def test_watch__a_reading_that_does_not_know_changes_nothing() -> None:
    watch = QueueWatch()
    look(watch, 0, consumed=False)
    look(watch, 10, consumed=None)
    assert bare(watch, 20) == 20.0


def test_watch__remembers_that_it_was_consumed() -> None:
    watch = QueueWatch()
    look(watch, 0, consumed=True, named=True)
    look(watch, 5, consumed=False)
    assert watch.watched("q", 12).consumed_ago == 12.0


def test_watch__sees_that_messages_are_taken_by_nobody_that_is_known() -> None:
    watch = QueueWatch()
    look(watch, 0, consumed=None, ready=10)
    look(watch, 5, consumed=None, ready=7)
    assert watch.watched("q", 10).is_drained
    assert not watch.watched("q", 70).is_drained


def test_watch__what_the_known_worker_took_is_no_stranger() -> None:
    """It took three, and was killed: nobody consumes the rest."""
    watch = QueueWatch()
    look(watch, 0, consumed=True, named=True, ready=10)
    look(watch, 5, consumed=False, ready=7)
    look(watch, 10, consumed=False, ready=7)
    assert not watch.watched("q", 10).is_drained


def test_watch__a_later_stamp_at_the_head_is_a_message_taken() -> None:
    watch = QueueWatch()
    for now, stamp in ((0.0, 100.0), (5.0, 101.0)):
        watch.note(QueueReading(name="q", ready=3, oldest_published_at=stamp), now)
    assert watch.watched("q", 5).is_drained
