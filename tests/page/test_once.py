"""A page is made once for each reading, for each that may be shown, and never from another reading."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

from celery_health.deadline import Deadline
from celery_health.page.once import MOST_KEPT, OncePerReading
from tests.support import eventually


class Counted:
    """Makes a text, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> str:
        self.times += 1
        return f"made {self.times}"


def later() -> Deadline:
    return Deadline.after(20)


def test_once__makes_what_was_not_made_of_this_reading() -> None:
    once, make = OncePerReading[str](), Counted()
    first, second = object(), object()

    assert [once.get(first, "page", make, later()) for _ in range(3)] == ["made 1"] * 3
    assert once.get(first, "part", make, later()) == "made 2"
    assert once.get(second, "page", make, later()) == "made 3"
    # Two readings in turn are two readings.
    assert once.get(first, "page", make, later()) == "made 4"


def test_once__tells_readings_apart_that_look_alike() -> None:
    once, make = OncePerReading[str](), Counted()

    assert once.get([], "page", make, later()) == "made 1"
    assert once.get([], "page", make, later()) == "made 2"


def test_once__keeps_no_failure() -> None:
    once, reading = OncePerReading[str](), object()

    def fail() -> str:
        raise ValueError("not now")

    with pytest.raises(ValueError, match="not now"):
        once.get(reading, "page", fail, later())

    assert once.get(reading, "page", Counted(), later()) == "made 1"


def test_once__keeps_a_bounded_number() -> None:
    once, make, reading = OncePerReading[str](), Counted(), object()
    for number in range(MOST_KEPT + 1):
        once.get(reading, number, make, later())

    once.get(reading, MOST_KEPT, make, later())
    assert make.times == MOST_KEPT + 1
    once.get(reading, 0, make, later())
    assert make.times == MOST_KEPT + 2
    assert len(once._places) == MOST_KEPT


def test_once__one_thread_makes_it_and_the_others_wait() -> None:
    once, reading = OncePerReading[str](), object()
    go, made, got = threading.Event(), Counted(), []

    def slowly() -> str:
        go.wait(20)
        return made()

    asking = [
        threading.Thread(target=lambda: got.append(once.get(reading, "page", slowly, later())))
        for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    # Another page does not wait for it.
    assert once.get(reading, "other", lambda: "other", later()) == "other"
    go.set()
    for thread in asking:
        thread.join(20)

    assert got == ["made 1"] * 4


def test_once__waits_no_longer_than_its_deadline() -> None:
    once, reading = OncePerReading[str](), object()
    go, entered = threading.Event(), threading.Event()

    def hang() -> str:
        entered.set()
        go.wait(20)
        return "late"

    stuck = threading.Thread(target=once.get, args=(reading, "page", hang, later()))
    stuck.start()
    try:
        assert entered.wait(20)
        started = time.monotonic()
        assert once.get(reading, "page", lambda: "mine", Deadline.after(0.1)) == "mine"
        assert time.monotonic() - started < 5
    finally:
        go.set()
        stuck.join(20)


def test_once__lets_go_of_the_reading_before() -> None:
    class Reading: ...

    once = OncePerReading[str]()
    reading = Reading()
    gone = weakref.ref(reading)
    once.get(reading, "page", Counted(), later())
    del reading
    once.get(object(), "page", Counted(), later())

    eventually(lambda: gc.collect() >= 0 and gone() is None, 5)
