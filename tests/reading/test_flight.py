"""One run for many callers, and no caller kept past its deadline."""

from __future__ import annotations

import os
import threading
import time

import pytest

from celery_health.deadline import Deadline
from celery_health.exceptions import DeadlineExceeded
from celery_health.reading.flight import MAX_ABANDONED, SharedFlight


class Work:
    """Counts its runs; each lasts until `gate` opens."""

    def __init__(self) -> None:
        self.runs = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, deadline: Deadline) -> int:
        self.runs += 1
        run = self.runs
        self.gate.wait(10)
        return run


def test_flight__twenty_callers_share_one_run() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test")
    values: list[int] = []
    threads = [
        threading.Thread(target=lambda: values.append(flight.get(Deadline.after(5))[0])) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    work.gate.set()
    for thread in threads:
        thread.join()

    assert values == [1] * 20
    assert work.runs == 1


def test_flight__keeps_the_value_for_its_age() -> None:
    work = Work()
    flight = SharedFlight(work, name="test", max_age_seconds=60)

    first, _ = flight.get(Deadline.after(1))
    second, age = flight.get(Deadline.after(1))

    assert (first, second, work.runs) == (1, 1, 1)
    assert 0 <= age < 60


def test_flight__reads_again_when_the_value_is_old() -> None:
    work = Work()
    flight = SharedFlight(work, name="test", max_age_seconds=0)

    assert [flight.get(Deadline.after(1))[0] for _ in range(3)] == [1, 2, 3]


def test_flight__forget_reads_again() -> None:
    flight = SharedFlight(Work(), name="test", max_age_seconds=60)
    flight.get(Deadline.after(1))
    flight.forget()

    assert flight.get(Deadline.after(1))[0] == 2


def test_flight__gives_up_at_the_deadline() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test")
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"No answer within 0\.05 s"):
        flight.get(Deadline.after(0.05))
    waited = time.monotonic() - started
    work.gate.set()

    assert waited < 2


def test_flight__a_short_wait_does_not_give_up_a_long_run() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", max_age_seconds=60)
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            flight.get(Deadline.after(0.01), run_deadline=Deadline.after(5))
    work.gate.set()

    assert flight.get(Deadline.after(5))[0] == 1
    assert work.runs == 1


def test_flight__hangs_in_a_bounded_number_of_threads() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test-hanging")
    for _ in range(10):
        with pytest.raises(DeadlineExceeded):
            flight.get(Deadline.after(0.01))
    hanging = [thread for thread in threading.enumerate() if thread.name == "test-hanging"]
    work.gate.set()
    for thread in hanging:
        thread.join()

    assert len(hanging) <= MAX_ABANDONED
    assert flight.get(Deadline.after(1))[0] > 0


def test_flight__a_late_run_does_not_replace_a_newer_value() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test-late", max_age_seconds=60)
    with pytest.raises(DeadlineExceeded):
        flight.get(Deadline.after(0.01))
    with pytest.raises(DeadlineExceeded):
        flight.get(Deadline.after(0.01))
    work.gate.set()
    for thread in [thread for thread in threading.enumerate() if thread.name == "test-late"]:
        thread.join()

    assert flight.get(Deadline.after(1))[0] == 2


def test_flight__hands_the_error_to_the_caller_and_forgets_it() -> None:
    outcomes: list[Exception | int] = [ValueError("broken"), 7]

    def work(deadline: Deadline) -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    flight = SharedFlight(work, name="test")
    with pytest.raises(ValueError, match="broken"):
        flight.get(Deadline.after(1))

    assert flight.get(Deadline.after(1))[0] == 7


def test_flight__refresh_waits_for_nothing() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", max_age_seconds=60)

    assert flight.refresh(Deadline.after(5)) is None
    work.gate.set()
    assert flight.get(Deadline.after(5))[0] == 1
    refreshed = flight.refresh(Deadline.after(5))
    assert refreshed is not None
    assert refreshed[0] == 1
    assert work.runs == 1


def test_flight__starts_anew_in_a_forked_child() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", max_age_seconds=60)
    with pytest.raises(DeadlineExceeded):
        flight.get(Deadline.after(0.01))
    pid = os.fork()
    if pid == 0:  # the child: its parent's run is not there, and its lock is free
        work.gate.set()
        os._exit(0 if flight.get(Deadline.after(5))[0] >= 1 else 1)
    work.gate.set()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
