"""What a process remembers of a queue from reading to reading."""

from __future__ import annotations

from math import inf

import pytest

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
    # Once may be a message that somebody moved or removed.
    assert not watch.watched("q", 5).is_drained
    look(watch, 10, consumed=None, ready=6)
    assert watch.watched("q", 10).is_drained
    assert not watch.watched("q", 66).is_drained


def test_watch__what_the_known_worker_took_is_no_stranger() -> None:
    """It took three, and was killed: nobody consumes the rest."""
    watch = QueueWatch()
    look(watch, 0, consumed=True, named=True, ready=10)
    look(watch, 5, consumed=True, named=True, ready=8)
    look(watch, 10, consumed=False, ready=7)
    look(watch, 15, consumed=False, ready=7)
    assert not watch.watched("q", 15).is_drained


HEADS = [
    # As many wait, and the oldest is a later one: one was taken, one came.
    ([(3, 100.0, False), (3, 101.0, False), (3, 102.0, False)], True),
    # More wait: another step has a head now.
    ([(1, 100.0, False), (2, 500.0, False), (3, 600.0, False)], False),
    # A message that is not due at the head says nothing.
    ([(3, 100.0, True), (3, 500.0, False), (3, 600.0, True)], False),
]


@pytest.mark.parametrize(("heads", "is_drained"), HEADS)
def test_watch__a_later_stamp_at_the_head(heads: list[tuple[int, float, bool]], is_drained: bool) -> None:
    watch = QueueWatch()
    for now, (ready, stamp, has_eta) in enumerate(heads):
        reading = QueueReading(name="q", ready=ready, oldest_published_at=stamp, oldest_has_eta=has_eta)
        watch.note(reading, now)
    assert watch.watched("q", 3).is_drained is is_drained


def test_watch__what_the_store_knows_is_no_sighting() -> None:
    """A killed worker's record says for half a minute that it consumes: the store knows better."""
    watch = QueueWatch()
    for now in range(30):
        watch.note_consumption("q", is_consumed=True, is_by_name=True, is_by_store=True, now=now)
    assert watch.watched("q", 30).consumed_ago == inf


def test_watch__how_long_the_broker_counts_nobody() -> None:
    watch = QueueWatch()
    for now, consumers in enumerate((1, 0, 0, 0)):
        watch.note(QueueReading(name="q", ready=1, consumers=consumers), now)
    assert watch.watched("q", 4).uncounted_seconds == 3.0


def test_watch__the_same_run_tried_again_is_another_message() -> None:
    watch = QueueWatch()
    for now, stamp in ((0.0, 100.0), (10.0, 100.0), (20.0, 119.0), (25.0, 119.0)):
        watch.note(QueueReading(name="q", ready=1, oldest_message_id="a", oldest_published_at=stamp), now)
    assert watch.oldest_seconds("q", 26.0) == 6.0


def test_watch__how_long_what_is_there_can_have_waited() -> None:
    watch = QueueWatch()
    assert watch.most_seconds("q", 0.0) is None
    for now, ready in ((0.0, 3), (10.0, 0), (20.0, 2)):
        watch.note(QueueReading(name="q", ready=ready), now)
    assert watch.most_seconds("q", 25.0) == 15.0
    assert watch.most_seconds("q", 25.0, is_held=True) is None
    watch.note_empty("q", 12.0)
    watch.note_empty("q", 5.0)
    assert watch.most_seconds("q", 25.0) == 13.0


def test_watch__nothing_waited_where_nothing_was_ready_before_it_was_said_that_nothing_is_held() -> None:
    watch = QueueWatch()

    def most() -> tuple[float | None, float | None]:
        return watch.most_seconds("q", 25.0), watch.most_seconds("q", 25.0, is_held=True)

    for now in (10.0, 15.0):
        watch.note(QueueReading(name="q", ready=0), now)
    watch.note_idle("q", 12.0)
    assert most() == (10.0, None)  # no worker says what it holds
    watch.note_held("q", 0)
    watch.note_idle("q", None)
    watch.note_idle("q", 9.0)
    assert most() == (None, None)
    watch.note_idle("q", 12.0)
    assert most() == (13.0, 13.0)
    for now, ready in ((16.0, None), (17.0, 0)):
        watch.note(QueueReading(name="q", ready=ready), now)
    watch.note_idle("q", 16.5)
    assert most() == (13.0, 13.0)  # nobody saw what was ready meanwhile
