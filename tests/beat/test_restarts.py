"""A beat that is restarted more often than an entry is due, without and with its schedule file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celery_health.health.beat import BeatOnTime
from celery_health.records import CheckResult
from tests.beat.conftest import TASK, Stage
from tests.support import Beat, eventually

pytestmark = [pytest.mark.slow, pytest.mark.redis]
INTERVAL = 6.0


def test_restarts__leave_an_entry_unsent_until_the_schedule_file_is_kept(
    make_stage: Callable[..., Stage], beat_factory: Callable[..., Beat], tmp_path: Path
) -> None:
    stage = make_stage("persistent", tmp_path)
    stage.schedule = {"often": {"task": TASK, "schedule": 0.5}, "rare": {"task": TASK, "schedule": INTERVAL}}

    def judged() -> list[CheckResult]:
        return [one for one in BeatOnTime().judge(stage.snapshot(), stage.settings) if one.subject == "rare"]

    def live_once(*options: str) -> None:
        """Have a beat live until the store has what it said of its first sends."""
        before = {beat.name for beat in stage.quick().beats}
        beat = beat_factory(
            stage.broker.url,
            app="tests.beat.project",
            health=stage.health,
            conf={"beat_schedule": stage.schedule, "beat_max_loop_interval": 1},
            env=stage.env,
            options=options,
        )

        def told() -> Any:
            new = [one for one in stage.quick().beats if one.name not in before]
            return new and any(one.last_sent_seconds is not None for one in new)

        eventually(told, 20.0)
        beat.stop()

    live_once()
    assert judged() == []  # a new entry has its first interval

    def forgotten() -> CheckResult:
        live_once()
        found = judged()
        assert found
        return found[0]

    result = eventually(forgotten, 60.0)
    assert "Beat has started" in result.message
    assert "anew each time." in result.message

    kept = tmp_path / "kept"
    eventually(lambda: live_once("-s", str(kept)) or judged() == [], 60.0)
