"""What a process knows of the store's clock, and its children with it."""

from __future__ import annotations

import os
import time
import warnings

import pytest

from celery_health.reporting.clock import StoreClock

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("off", "took", "ahead"),
    [
        # The host's clock is right, or nearly so: the way takes as long.
        (0.0, 0.01, 0.0),
        (0.9, 0.01, 0.0),
        (1.5, 1.8, 0.0),
        # It is off.
        (-900.0, 0.01, 900.0),
        (900.0, 0.5, -900.0),
        # Nobody can say.
        (900.0, 5.0, 0.0),
    ],
)
def test_clock__of_the_store(monkeypatch: pytest.MonkeyPatch, off: float, took: float, ahead: float) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + off)
    clock = StoreClock()
    assert clock.time() == NOW + off
    clock.answered(NOW - took / 2, took)
    assert clock.ahead == pytest.approx(ahead)
    assert clock.time() == pytest.approx(NOW + off + ahead)


def test_clock__is_right_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StoreClock()
    monkeypatch.setattr(time, "time", lambda: NOW - 900.0)
    clock.answered(NOW, 0.01)
    monkeypatch.setattr(time, "time", lambda: NOW)
    clock.answered(NOW, 0.01)
    assert (clock.ahead, clock.time()) == (0.0, NOW)


@pytest.mark.parametrize("is_child", [True, False])
def test_clock__set_right_since_the_last_answer(monkeypatch: pytest.MonkeyPatch, is_child: bool) -> None:
    clock = StoreClock()
    clock.share()
    monkeypatch.setattr(time, "time", lambda: NOW + 3600.0)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    clock.answered(NOW, 0.01)
    if is_child:
        clock.forked()
    monkeypatch.setattr(time, "time", lambda: NOW + 3660.0)
    monkeypatch.setattr(time, "monotonic", lambda: 160.0)
    assert clock.time() == pytest.approx(NOW + 60.0, abs=0.1)
    monkeypatch.setattr(time, "time", lambda: NOW + 61.0)
    monkeypatch.setattr(time, "monotonic", lambda: 161.0)
    assert clock.time() == NOW + 61.0


@pytest.mark.parametrize("is_shared", [True, False])
def test_clock__a_forked_process_learns_what_its_worker_learns_later(is_shared: bool) -> None:
    clock, (reader, writer), (asked, ask) = StoreClock(), os.pipe(), os.pipe()
    if is_shared:
        clock.share()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of threads in this process
        child = os.fork()
    if not child:
        try:
            clock.forked()
            os.read(asked, 1)
            os.write(writer, f"{clock.time() - time.time():.0f}".encode())
        finally:
            os._exit(0)
    clock.answered(time.time() + 900.0, 0.0)
    os.write(ask, b"x")
    assert float(os.read(reader, 10)) == (900.0 if is_shared else 0.0)
    os.waitpid(child, 0)
    for one in (reader, writer, asked, ask):
        os.close(one)
