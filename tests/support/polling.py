"""Wait for what takes its own time: poll with a deadline, never sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: A pause grows with what was waited already: who waits long leaves the processor to what it waits for.
_SHARE = 0.05
_LONGEST_PAUSE = 0.25


def pause_after(waited: float, interval: float) -> float:
    """Return how many seconds to pause after having waited for `waited`: at least `interval`."""
    return max(interval, min(_LONGEST_PAUSE, waited * _SHARE))


def eventually(
    predicate: Callable[[], T], timeout: float = 10.0, *, interval: float = 0.02, what: str | None = None
) -> T:
    """Return the first truthy value of `predicate`, asked again and again for `timeout` seconds.

    Between two questions are `interval` seconds, and more when it takes long: see `pause_after`.
    An AssertionError inside `predicate` means "not yet"; any other exception ends the wait.

    Raises:
        AssertionError: nothing truthy came in time; the message shows the last value.
    """
    started = time.monotonic()
    last: object = None
    while True:
        try:
            value = predicate()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        elapsed = time.monotonic() - started
        if elapsed >= timeout:
            name = what or getattr(predicate, "__name__", repr(predicate))
            raise AssertionError(f"Not within {timeout:g} s: {name}. Last seen: {last!r}")
        time.sleep(min(pause_after(elapsed, interval), max(0.0, timeout - elapsed)))


def always(predicate: Callable[[], object], seconds: float, *, interval: float = 0.05) -> None:
    """Check that `predicate` stays truthy for `seconds`.

    Raises:
        AssertionError: it did not; the message says after how long.
    """
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        value = predicate()
        assert value, f"Held for {elapsed:.2f} s of {seconds:g} only: {value!r}"
        time.sleep(interval)
