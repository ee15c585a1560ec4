"""Play every situation of the table with real processes: the right verdict, in time, and well again.

The table at lowered limits runs with the suite; at the default limits it is ``make soak``, which also
prints how long each took, beside what ``celery inspect ping`` says meanwhile.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_health.records import HealthReport, Status
from tests.situations.system import System, describe, has, now
from tests.situations.table import SITUATIONS, Situation
from tests.support import RedisServer

pytestmark = pytest.mark.live

#: What a reading, a heartbeat and a slow machine may add to a limit.
SLACK_SECONDS = 12.0
#: Between two looks at what must stay well: the processor is for what is looked at.
LOOK_SECONDS = 0.1


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """A Redis of this situation's own."""
    with RedisServer() as own:
        yield own


def _cases(soak: bool) -> list[object]:
    marks = [pytest.mark.soak] if soak else []
    return [
        pytest.param(row, id=row.name, marks=[*marks, *(getattr(pytest.mark, mark) for mark in row.marks)])
        for row in SITUATIONS
    ]


@pytest.mark.parametrize("situation", _cases(soak=False))
@pytest.mark.timeout(120)
def test_situation__fast(situation: Situation, server: RedisServer) -> None:
    play(situation, System(redis=server, is_soak=False))


@pytest.mark.parametrize("situation", _cases(soak=True))
@pytest.mark.timeout(600)
def test_situation__default_limits(situation: Situation, server: RedisServer) -> None:
    play(situation, System(redis=server, is_soak=True))


def play(situation: Situation, system: System) -> None:
    """Run one situation to its end."""
    try:
        if situation.status == "healthy":
            stays_well(situation, system)
        else:
            breaks_and_heals(situation, system)
    finally:
        system.close()


def stays_well(situation: Situation, system: System) -> None:
    """Look at the verdict for as long as the situation plays: never worse than it may be."""
    allowed = {Status.HEALTHY, *(Status(value) for value in situation.allows)}
    started = None
    report: HealthReport | None = None
    for _ in situation.play(system):
        started = started or now()
        report = system.report()
        assert report.status in allowed, describe(report)
        time.sleep(LOOK_SECONDS)
    assert report is not None
    system.healthy()
    tell(situation, seen=None, healed=None, watched=now() - (started or now()), ping=system.ping())


def breaks_and_heals(situation: Situation, system: System) -> None:
    """Wait for the verdict that must come, then for all to be well again."""
    steps = situation.play(system)
    next(steps)
    broken_at = now()
    limit = system.limit(situation.within) if situation.within else 0.0
    report = system.until(lambda report: is_as_told(situation, report), limit + SLACK_SECONDS, situation.name)
    seen = now() - broken_at
    assert report.recommendations
    ping = system.ping()
    healed = None
    if next(steps, "ended") is None:
        mended_at = now()
        system.healthy(limit + 60)
        healed = now() - mended_at
    tell(situation, seen=seen, healed=healed, watched=None, ping=ping)


def is_as_told(situation: Situation, report: HealthReport) -> bool:
    """Say whether the report is what the row promises."""
    assert situation.check is not None
    assert situation.check_status is not None
    return report.status is Status(situation.status) and has(
        report, situation.check, situation.check_status, situation.subject
    )


def tell(
    situation: Situation, *, seen: float | None, healed: float | None, watched: float | None, ping: str
) -> None:
    """Append a row to the table of the run, where one was asked for."""
    path = os.environ.get("SITUATIONS_TABLE")
    if path:
        row = {
            "situation": situation.name,
            "verdict": situation.status,
            "check": situation.check,
            "seen_seconds": seen and round(seen, 1),
            "well_again_seconds": healed and round(healed, 1),
            "watched_seconds": watched and round(watched, 1),
            "inspect_ping": ping,
        }
        with Path(path).open("a") as table:
            table.write(json.dumps(row) + "\n")
