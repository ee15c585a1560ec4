"""One run for many callers, and no caller kept past its deadline."""

from __future__ import annotations

import os
import threading
import time

import pytest

from celery_health.deadline import Deadline
from celery_health.exceptions import (
    CeleryHealthError,
    DeadlineExceeded,
    LateDeadlineError,
    LateError,
    ThreadError,
)
from celery_health.reading.flight import MAX_ABANDONED, Run, RunAbandonedError, SharedFlight


class Work:
    """Counts its runs; each lasts until `gate` opens."""

    def __init__(self) -> None:
        self.runs = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, run: Run) -> int:
        self.runs += 1
        number = self.runs
        self.gate.wait(10)
        return number


def test_flight__twenty_callers_share_one_run() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", run_seconds=5)
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
    flight = SharedFlight(work, name="test", run_seconds=5, max_age_seconds=60)

    first, _ = flight.get(Deadline.after(1))
    second, age = flight.get(Deadline.after(1))

    assert (first, second, work.runs) == (1, 1, 1)
    assert 0 <= age < 60


def test_flight__reads_again_when_the_value_is_old() -> None:
    work = Work()
    flight = SharedFlight(work, name="test", run_seconds=5, max_age_seconds=0)

    assert [flight.get(Deadline.after(1))[0] for _ in range(3)] == [1, 2, 3]


def test_flight__forget_reads_again() -> None:
    flight = SharedFlight(Work(), name="test", run_seconds=5, max_age_seconds=60)
    flight.get(Deadline.after(1))
    flight.forget()

    assert flight.get(Deadline.after(1))[0] == 2


def test_flight__gives_up_at_the_deadline() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", run_seconds=5)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"No answer within 0\.05 s"):
        flight.get(Deadline.after(0.05))
    waited = time.monotonic() - started
    work.gate.set()

    assert waited < 2


def test_flight__what_ends_its_thread_is_an_error_for_those_who_wait() -> None:
    def work(run: Run) -> None:
        raise SystemExit(0)

    flight = SharedFlight(work, name="test", run_seconds=5)
    with pytest.raises(CeleryHealthError, match=r"^The thread test was ended \(SystemExit: 0\)\.$"):
        flight.get(Deadline.after(5))


def test_flight__one_who_joins_is_told_that_the_run_goes_on() -> None:
    reached, gate = threading.Event(), threading.Event()

    def work(run: Run) -> int:
        with run.deadline.timing.waiting(5):
            reached.set()
            gate.wait(10)
        return 1

    flight = SharedFlight(work, name="test", run_seconds=5)
    first = threading.Thread(target=flight.get, args=(Deadline.after(5),))
    first.start()
    reached.wait(10)
    with pytest.raises(LateDeadlineError, match=r"0\.05 s: a reading is still under way \(for \d\.\d s\)"):
        flight.get(Deadline.after(0.05))
    gate.set()
    first.join()


def test_flight__one_who_started_it_is_told_who_kept_it_waiting() -> None:
    asked, gate = threading.Event(), threading.Event()

    def work(run: Run) -> None:
        if not asked.is_set():
            with run.deadline.timing.waiting(5):
                asked.set()
                gate.wait(10)
        gate.wait(10)

    flight = SharedFlight(work, name="test", run_seconds=0.1)
    with pytest.raises(DeadlineExceeded) as silent:
        flight.get(Deadline.after(0.1))
    assert not isinstance(silent.value, LateError)
    # Neither a processor nor a peer: what this run hangs in is not known, and so nobody is to blame.
    with pytest.raises(LateDeadlineError, match=r"this process was late itself \(0\.\d of 0\.\d s went by"):
        flight.get(Deadline.after(0.1))
    gate.set()


def test_flight__a_short_wait_does_not_give_up_a_long_run() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", run_seconds=5, max_age_seconds=60)
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            flight.get(Deadline.after(0.01))
    work.gate.set()

    assert flight.get(Deadline.after(5))[0] == 1
    assert work.runs == 1


def test_flight__hangs_in_a_bounded_number_of_threads() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test-hanging", run_seconds=0.01)
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
    flight = SharedFlight(work, name="test-late", run_seconds=0.01, max_age_seconds=60)
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

    def work(run: Run) -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    flight = SharedFlight(work, name="test", run_seconds=5)
    with pytest.raises(ValueError, match="broken"):
        flight.get(Deadline.after(1))

    assert flight.get(Deadline.after(1))[0] == 7


def test_flight__refresh_waits_for_nothing() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", run_seconds=5, max_age_seconds=60)

    assert flight.refresh() is None
    work.gate.set()
    assert flight.get(Deadline.after(5))[0] == 1
    refreshed = flight.refresh()
    assert refreshed is not None
    assert refreshed[0] == 1
    assert work.runs == 1


def test_flight__starts_anew_in_a_forked_child() -> None:
    work = Work()
    work.gate.clear()
    flight = SharedFlight(work, name="test", run_seconds=5, max_age_seconds=60)
    with pytest.raises(DeadlineExceeded):
        flight.get(Deadline.after(0.01))
    pid = os.fork()
    if pid == 0:  # the child: its parent's run is not there, and its lock is free
        work.gate.set()
        os._exit(0 if flight.get(Deadline.after(5))[0] >= 1 else 1)
    work.gate.set()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_flight__a_caller_with_more_time_outlives_a_run_that_hangs() -> None:
    gate = threading.Event()
    started: list[Run] = []

    def work(run: Run) -> int:
        started.append(run)
        if len(started) == 1:
            gate.wait(10)
        return len(started)

    flight = SharedFlight(work, name="test-outlived", run_seconds=0.05)
    with pytest.raises(DeadlineExceeded):
        flight.get(Deadline.after(0.01))

    assert flight.get(Deadline.after(5))[0] == 2
    assert [run.is_current for run in started] == [False, True]
    gate.set()


def test_flight__a_run_that_was_given_up_changes_nothing() -> None:
    gate = threading.Event()
    memory: list[str] = []
    refused: list[Exception] = []
    runs = iter(["late", "newer"])

    def work(run: Run) -> str:
        name = next(runs)
        if name == "late":
            gate.wait(10)
        try:
            with run.updating():
                memory.append(name)
        except RunAbandonedError as error:
            refused.append(error)
            raise
        return name

    flight = SharedFlight(work, name="test-given-up", run_seconds=0.05, max_age_seconds=60)
    with pytest.raises(DeadlineExceeded):
        flight.get(Deadline.after(0.06))
    assert flight.get(Deadline.after(5))[0] == "newer"
    gate.set()
    for thread in [thread for thread in threading.enumerate() if thread.name == "test-given-up"]:
        thread.join()

    assert (memory, len(refused)) == (["newer"], 1)
    assert flight.get(Deadline.after(5))[0] == "newer"


def test_flight__a_thread_that_cannot_start_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # A double: no limit of threads can be reached here without harm to the other tests.
    start = threading.Thread.start
    failures = iter(["can't start new thread"] * 5)

    def start_or_fail(thread: threading.Thread) -> None:
        failure = next(failures, None) if thread.name == "test-threads" else None
        if failure is not None:
            raise RuntimeError(failure)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    flight = SharedFlight(Work(), name="test-threads", run_seconds=5)
    assert flight.refresh() is None
    started = time.monotonic()
    for _ in range(4):
        with pytest.raises(ThreadError, match="can't start new thread"):
            flight.get(Deadline.after(30))

    assert flight.get(Deadline.after(5))[0] == 1
    assert time.monotonic() - started < 20
