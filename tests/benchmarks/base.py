"""What a benchmark is: ours beside a floor, measured in turns in one run."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    ours_seconds: float
    """Median; the fastest round where seconds are the target, since another's load is not our cost."""
    floor_seconds: float
    """The same of what nobody can do without."""
    ratio: float
    """Median of the ratios of neighbours in time: what slows the machine hits both."""
    target: float
    """The ratio to stay at or below; with `target_is_seconds`, the seconds of ours."""
    target_is_seconds: bool = False

    @property
    def is_met(self) -> bool:
        """Say whether ours is within the target."""
        return (self.ours_seconds if self.target_is_seconds else self.ratio) <= self.target

    def line(self) -> str:
        """Return the figure as a row of the table."""
        target = f"{_time(self.target)}" if self.target_is_seconds else f"{self.target:.2f}x"
        return (
            f"{self.name:<58} {_time(self.ours_seconds):>10} {_time(self.floor_seconds):>10} "
            f"{self.ratio:>7.2f}x {'<= ' + target:>11}  {'ok' if self.is_met else 'OVER'}"
        )


HEADER = f"{'benchmark':<58} {'ours':>10} {'floor':>10} {'ratio':>8} {'target':>11}"


def in_turns(
    name: str,
    ours: Callable[[], object],
    floor: Callable[[], object],
    *,
    target: float,
    rounds: int = 200,
    calls: int = 1,
    target_is_seconds: bool = False,
    between: Callable[[], object] | None = None,
) -> Figure:
    """Time `ours` and `floor` in turns and return the figure, per call of each.

    `calls` are made between two looks at the clock, for what takes less than some microseconds. `between`
    runs before each round, off the clock.
    """
    for _ in range(max(1, rounds // 10)):
        ours()
        floor()
    mine, theirs = [], []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            if between is not None:
                between()
            mine.append(_timed(ours, calls))
            theirs.append(_timed(floor, calls))
    finally:
        gc.enable()
    typical = min if target_is_seconds else statistics.median
    return Figure(
        name=name,
        ours_seconds=typical(mine),
        floor_seconds=typical(theirs),
        ratio=statistics.median(one / other for one, other in zip(mine, theirs, strict=True)),
        target=target,
        target_is_seconds=target_is_seconds,
    )


def table(figures: Iterable[Figure]) -> str:
    """Return all figures under their header."""
    return "\n".join([HEADER, *(figure.line() for figure in figures)])


def _timed(call: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls


def _time(seconds: float) -> str:
    if seconds < 1e-4:
        return f"{seconds * 1e6:.2f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"
