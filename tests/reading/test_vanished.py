"""When a silent worker is proven to have ended, and when it is not: readings in a row, no process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from celery_health.brokers.base import Mark
from celery_health.reading.vanished import MAX_SUSPECTS, Vanished
from celery_health.records import Worker, WorkerState
from celery_health.testing import make_worker

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HEARTBEAT, FLUSH = 5.0, 1.0


def worker(name: str = "lost", age: float = 0.0, **changes: Any) -> Worker:
    known: dict[str, Any] = {
        "connection_name": f"conn:{name}",
        "mailbox": f"{name}.pidbox",
        "broker": "b1",
        "pid": 7,
        "started_at": EPOCH,
    }
    return make_worker(name, last_seen_seconds=age, **{**known, **changes})


@dataclass
class Course:
    """One minute in which a worker falls silent at second 0, and a reading is made every second."""

    mark: Mark | None = Mark.CONNECTION_NAME
    lost: Mapping[str, Any] = field(default_factory=dict)
    """Of the worker that falls silent."""
    other: Mapping[str, Any] | None = field(default_factory=dict)
    """Of the one that reports all the time; None for a sole worker."""
    shown: Mapping[str, float | None] | None = field(default_factory=lambda: {"conn:other": 3600.0})
    """What the broker shows, if asked: by default the other alone."""
    at: Mapping[int, Mapping[str, float | None] | None] = field(default_factory=dict)
    """Second → what it shows then instead."""
    unread: tuple[int, ...] = ()
    """Seconds in which store or broker did not answer us."""
    every: float = 1.0
    """Seconds between readings."""
    first: float = -5.0
    """When the first reading is made."""
    asked: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)

    def run(self, until: float = 29.0) -> float | None:
        """Return the age of the last record when the worker is first called gone; None when it never is."""
        vanished, now = Vanished(HEARTBEAT, FLUSH), self.first
        while now <= until:
            workers: tuple[Worker, ...] = (worker(age=max(0.0, now), **self.lost),)
            if self.other is not None:
                workers += (worker("other", **{"age": now % HEARTBEAT, "pid": 8, **self.other}),)
            if self.step(vanished, now, workers):
                return now
            now += self.every
        return None

    def step(self, vanished: Vanished, now: float, workers: tuple[Worker, ...]) -> bool:
        vanished.note(now, could_read=now not in self.unread)
        if marks := vanished.question(now, workers, self.mark):
            self.asked.append((now, marks))
            vanished.answer(now, workers, self.at.get(int(now), self.shown))
        (lost,) = (one for one in vanished.judged(workers) if one.hostname == "lost")
        assert lost.is_disconnected == (lost.state is WorkerState.GONE)
        return lost.is_disconnected


def connected(now_shown: float | None) -> dict[str, float | None]:
    return {"conn:lost": now_shown, "conn:other": 3600.0}


PROVEN = [
    # Asked from 1.4 heartbeats on; two answers 2 s apart agree.
    (Course(), 9.0),
    # RabbitMQ does not say since when a mailbox exists.
    (Course(mark=Mark.MAILBOX, shown={"other.pidbox": None}), 9.0),
    # One answer that was not given only costs time.
    (Course(at={7: None}), 11.0),
    (Course(at={9: None}), 13.0),
    # An answer in between that shows it starts the proof again.
    (Course(at={9: connected(20.0)}), 13.0),
    # A pool or loop that hangs explains no silence.
    (Course(lost={"state": WorkerState.STUCK}), 9.0),
    (Course(lost={"state": WorkerState.SATURATED}), 9.0),
    # Readings further apart, and still closer than a heartbeat.
    (Course(every=4.0, first=-4.0), 12.0),
    # An outage that was over before the silence began.
    (Course(unread=(-3, -2)), 9.0),
]


@pytest.mark.parametrize(("course", "seconds"), PROVEN)
def test_vanished__proven(course: Course, seconds: float) -> None:
    assert course.run() == seconds


NEVER = [
    # SIGSTOP, a slow network, a store that is away for it alone: its connection is open.
    Course(shown=connected(3600.0)),
    # It has connected anew under the same name.
    Course(shown=connected(1.0)),
    # The broker restarted or failed over: what it shows has connected since.
    Course(shown={"conn:other": 4.0}),
    # Nobody else is there who would be missing as well: a server that shows no names shows none of these.
    Course(shown={}),
    # A sole worker.
    Course(other=None),
    # Another worker that is silent too proves nothing.
    Course(other={"age": 9.0}),
    # Nor does one on another broker, or one whose broker is not known.
    Course(other={"broker": "b2"}),
    Course(other={"broker": None}, lost={"broker": None}),
    # Nor one that reconnects, or has no mark.
    Course(other={"state": WorkerState.RECONNECTING}),
    Course(other={"connection_name": None}),
    # The broker does not tell: an ACL without CLIENT, too many connections.
    Course(shown=None),
    # Or this transport cannot.
    Course(mark=None),
    # A worker that never had a name: an older version, an ACL, a name of the project's own.
    Course(lost={"connection_name": None}),
    # It said itself that it might be away.
    Course(lost={"state": WorkerState.RECONNECTING}),
    Course(lost={"state": WorkerState.DRAINING}),
    # Found by inspection: its silence is another thing.
    Course(lost={"state": WorkerState.UNKNOWN}),
    # Store or broker did not answer us either, when it fell silent or since.
    Course(unread=(1,)),
    Course(unread=(8,)),
    # We began to look after that.
    Course(first=2.0),
    # Readings so far apart that an outage fits in between.
    Course(every=17.0, first=-17.0),
]


@pytest.mark.parametrize("course", NEVER)
def test_vanished__not_proven(course: Course) -> None:
    assert course.run() is None


def test_vanished__is_not_forgotten_while_it_stays_silent() -> None:
    vanished, course = Vanished(HEARTBEAT, FLUSH), Course()

    def reading(now: float, age: float, **changes: Any) -> bool:
        return course.step(vanished, now, (worker(age=age, **changes), worker("other", pid=8)))

    assert [reading(now, age=max(0.0, now)) for now in range(-5, 11)] == [False] * 14 + [True] * 2
    asked = len(course.asked)
    # The broker goes away, and what was proven stays so: nobody is asked again.
    course.unread = (15,)
    assert all(reading(now, age=now) for now in range(11, 20))
    assert len(course.asked) == asked
    # It reports again (it was not dead: a name that a proxy lost), and falls silent once more.
    assert not any(reading(now, age=now - 20) for now in range(20, 29))
    assert reading(29, age=9)


def test_vanished__a_report_that_was_not_seen_ends_a_proof_as_well() -> None:
    vanished, course = Vanished(HEARTBEAT, FLUSH), Course()
    for now in range(-5, 11):
        course.step(vanished, now, (worker(age=max(0.0, now)), worker("other", pid=8)))

    # Nobody looked for half a minute, in which it came back and fell silent again.
    assert not course.step(vanished, 40, (worker(age=9.0), worker("other", pid=8)))


def test_vanished__a_restart_under_its_name_is_another_process() -> None:
    vanished, course = Vanished(HEARTBEAT, FLUSH), Course()
    for now in range(-5, 11):
        course.step(vanished, now, (worker(age=max(0.0, now)), worker("other", pid=8)))
    restarted = worker(age=8.0, pid=9, connection_name="conn:lost:2")

    assert not course.step(vanished, 11, (restarted, worker("other", pid=8)))


def test_question__nobody_is_asked_for_while_all_report() -> None:
    vanished = Vanished(HEARTBEAT, FLUSH)
    for now in range(60):
        vanished.note(now, could_read=True)
        # A heartbeat comes 20 % late, and the agent looks once a second.
        assert not vanished.question(now, (worker(age=6.9), worker("other", pid=8)), Mark.MAILBOX)


def test_question__bounded_and_in_turns() -> None:
    vanished = Vanished(HEARTBEAT, FLUSH)
    silent = tuple(worker(f"w{number}", age=9.0, pid=number) for number in range(MAX_SUSPECTS * 2))
    others = tuple(
        worker(f"o{number}", pid=1000 + number, started_at=EPOCH + timedelta(number))
        for number in reversed(range(9))
    )
    vanished.note(0.0, could_read=True)
    vanished.note(5.0, could_read=True)
    vanished.note(10.0, could_read=True)

    first = vanished.question(10.0, (*silent, *others), Mark.CONNECTION_NAME)
    assert not vanished.question(11.9, (*silent, *others), Mark.CONNECTION_NAME)
    second = vanished.question(12.0, (*silent, *others), Mark.CONNECTION_NAME)

    assert len(first) == len(second) == MAX_SUSPECTS + 3
    # Those that run longest are the witnesses, and each silent one has its turn.
    assert set(first) & set(second) == {"conn:o0", "conn:o1", "conn:o2"}
