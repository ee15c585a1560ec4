"""Where the time of a deadline went: who is to blame for a time-out, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from celery_health.deadline import Deadline
from celery_health.timing import Spent, Timing


class Machine:
    """A clock, and what the system tells of the thread: a double: none starves on demand."""

    def __init__(self, *, tells: bool = True) -> None:
        self.now = 100.0
        self.delayed: float | None = 5.0 if tells else None
        self.busy = 7.0

    def timing(self) -> Timing:
        timing = Timing(clock=lambda: self.now, spent=lambda _: Spent(self.delayed, self.busy))
        timing.begin()
        return timing

    def starve(self, seconds: float) -> None:
        self.now += seconds
        if self.delayed is not None:
            self.delayed += seconds

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.busy += seconds

    def wait(self, timing: Timing, seconds: float, *, at_most: float | None = None) -> None:
        """The peer says nothing for so long, and the wait is given up."""
        with pytest.raises(TimeoutError), timing.waiting(at_most or seconds):
            self.now += seconds
            raise TimeoutError

    def answer(self, timing: Timing, seconds: float = 0.0001) -> None:
        """The peer answers after so long."""
        with timing.waiting(2.0, for_reply=True):
            self.now += seconds

    def connect(self, timing: Timing) -> None:
        """The peer's system takes the connection and the command: whether the peer runs is not known."""
        for _ in range(2):
            with timing.waiting(2.0):
                self.now += 0.0001


def silent(machine: Machine, timing: Timing) -> None:
    machine.wait(timing, 2.0)


def silent_under_load(machine: Machine, timing: Timing) -> None:
    machine.starve(1.2)
    machine.wait(timing, 0.6)


def slow(machine: Machine, timing: Timing) -> None:
    for _ in range(12):
        machine.answer(timing, 0.15)


def starved(machine: Machine, timing: Timing) -> None:
    machine.answer(timing)
    machine.starve(1.3)
    machine.answer(timing)
    machine.starve(0.5)
    machine.wait(timing, 0.1)


def woken_late(machine: Machine, timing: Timing) -> None:
    # Told to wait 0.1 s, and not run for 1.5 s after that.
    with pytest.raises(TimeoutError), timing.waiting(0.1):
        machine.starve(1.6)
        raise TimeoutError


def starved_within_answers(machine: Machine, timing: Timing) -> None:
    # The replies were there at once, and this process was not run to take them.
    for _ in range(6):
        with timing.waiting(2.0, for_reply=True):
            machine.starve(0.3)


def silent_at_each_url(machine: Machine, timing: Timing) -> None:
    # Each of five gets an equal part of the time, and another thread has the processor meanwhile.
    machine.delayed = (machine.delayed or 0.0) + 0.02
    for _ in range(5):
        machine.connect(timing)
        machine.wait(timing, 0.36)
    machine.busy += 1.8


def silent_while_connecting(machine: Machine, timing: Timing) -> None:
    # A wait within a wait counts once: a tenth of the time is no proof.
    with pytest.raises(TimeoutError), timing.waiting(2.0):
        machine.connect(timing)
        machine.starve(1.6)
        machine.wait(timing, 0.2)
        raise TimeoutError


def silent_then_another_answers(machine: Machine, timing: Timing) -> None:
    machine.wait(timing, 0.9)
    machine.connect(timing)
    machine.answer(timing)
    machine.starve(1.2)
    machine.wait(timing, 0.1)


def slow_in_a_busy_process(machine: Machine, timing: Timing) -> None:
    machine.delayed = (machine.delayed or 0.0) + 0.02
    machine.busy += 1.2
    slow(machine, timing)


def late_by_this_and_that(machine: Machine, timing: Timing) -> None:
    machine.starve(0.2)
    machine.work(0.2)
    machine.now += 1.0
    machine.answer(timing, 0.6)


def starved_shortly(machine: Machine, timing: Timing) -> None:
    machine.starve(0.03)
    machine.wait(timing, 0.001)


def busy(machine: Machine, timing: Timing) -> None:
    machine.answer(timing)
    machine.work(1.8)


def held_up(machine: Machine, timing: Timing) -> None:
    machine.now += 1.9  # by a lock, or the disk: neither processor nor peer


def refused_late(machine: Machine, timing: Timing) -> None:
    machine.starve(0.4)
    machine.wait(timing, 1.4)


#: What happened, and what is said of this process; None: it is the peer's.
CASES = [
    (silent, None),
    # It was asked for 0.6 s of 1.8: that is proof, whatever came before.
    (silent_under_load, None),
    (slow, None),
    (refused_late, None),
    (silent_at_each_url, None),
    (silent_while_connecting, "got too little processor time (it waited 1.6 of 1.8 s for a processor)"),
    (silent_then_another_answers, "got too little processor time (it waited 1.2 of 2.2 s for a processor)"),
    (slow_in_a_busy_process, "was too busy itself (1.2 of 1.8 s went into its own work)"),
    (late_by_this_and_that, "was late itself (1.6 of 2.0 s went by before it had asked)"),
    # Never "0.0 of 0.0 s".
    (starved_shortly, "got too little processor time (it waited 0.03 of 0.031 s for a processor)"),
    (starved, "got too little processor time (it waited 1.8 of 1.9 s for a processor)"),
    (woken_late, "got too little processor time (it waited 1.6 of 1.6 s for a processor)"),
    (starved_within_answers, "got too little processor time (it waited 1.8 of 1.8 s for a processor)"),
    (busy, "was too busy itself (1.8 of 1.8 s went into its own work)"),
    (held_up, "was late itself (1.9 of 1.9 s went by before it had asked)"),
]


@pytest.mark.parametrize(("happens", "said"), CASES, ids=[happens.__name__ for happens, _ in CASES])
def test_timing__says_whose_the_delay_is(
    happens: Callable[[Machine, Timing], None], said: str | None
) -> None:
    machine = Machine()
    timing = machine.timing()
    happens(machine, timing)

    assert timing.own_delay() == said


def test_timing__without_schedstat_a_delay_is_ours_all_the_same() -> None:
    machine = Machine(tells=False)
    timing = machine.timing()
    starved(machine, timing)

    assert timing.own_delay() == "was late itself (1.8 of 1.9 s went by before it had asked)"


def test_timing__another_thread_sees_a_wait_under_way() -> None:
    machine = Machine()
    timing = machine.timing()
    with timing.waiting(2.0):
        machine.now += 1.9
        assert timing.own_delay() is None
    machine.answer(timing)


def test_timing__another_thread_sees_what_was_silent_before_this_wait() -> None:
    machine = Machine()
    timing = machine.timing()
    machine.starve(1.4)
    machine.wait(timing, 0.3)
    with timing.waiting(0.3):
        machine.connect(timing)
        with timing.waiting(0.3, for_reply=True):
            assert timing.own_delay() is not None  # 0.3 of 1.7 s
            machine.now += 0.3
            assert timing.own_delay() is None  # 0.6 of 2.0 s
        assert timing.own_delay() is not None  # it answered


def test_timing__names_what_is_done() -> None:
    machine = Machine()
    timing = machine.timing()
    with timing.doing("importing"):
        machine.work(3.0)
        assert timing.own_delay() == "is still importing (for 3.0 s)"
    machine.wait(timing, 3.0)
    assert timing.own_delay() is None


def test_deadline__shares_its_timing_with_those_made_of_it() -> None:
    deadline = Deadline.after(2.0)

    assert deadline.within(0.5).within(0.1).timing is deadline.timing
