"""How long a writer waits: it grows with what times out, shrinks with what is answered, and has an end."""

from __future__ import annotations

import pytest

from celery_health.store.pace import MAX_PUBLISH_SECONDS, MAX_STEP_SECONDS, STEP_SECONDS, Pace


def test_pace__begins_short_and_has_an_end() -> None:
    pace, seen = Pace(), []
    for _ in range(6):
        seen.append((pace.step_seconds, pace.publish_seconds))
        pace.timed_out()
    assert seen == [(0.25, 1.0), (0.5, 2.0), (1.0, 4.0), *[(MAX_STEP_SECONDS, MAX_PUBLISH_SECONDS)] * 3]


@pytest.mark.parametrize(
    ("took", "step"),
    [
        (0.002, STEP_SECONDS),  # next door
        (0.2, 0.4),  # another continent: twice what it takes, so that one slow packet is no outage
        (0.8, 1.6),
        (5.0, MAX_STEP_SECONDS),  # with opening a connection
    ],
)
def test_pace__comes_to_what_calls_take(took: float, step: float) -> None:
    pace = Pace()
    for _ in range(4):
        pace.timed_out()
    for _ in range(6):
        pace.took(took)
    assert pace.step_seconds == pytest.approx(step)
