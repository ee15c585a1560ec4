"""What is overdue is measured over the time in which it was due: a row is a history, once a second."""

from __future__ import annotations

import pytest

from celery_health.worker.overdue import MAX_STEP_SECONDS, Overdue

#: (seconds, due, when it last happened) of each look → what the last look says.
HISTORIES = [
    # Due, and it never happens.
    ([(t, True, 0.0) for t in range(11)], 10.0),
    # It happens all the time.
    ([(t, True, float(t)) for t in range(11)], 0.0),
    # It happened a while before the look.
    ([(0, True, 0.0), (1, True, 0.0), (2, True, 1.25)], 0.75),
    # Not due for hours, and now free for two seconds: two.
    ([*((t, False, 0.0) for t in range(7200)), (7200, True, 0.0), (7201, True, 0.0), (7202, True, 0.0)], 2.0),
    # Not due any more.
    ([*((t, True, 0.0) for t in range(100)), (100, False, 0.0)], 0.0),
    # Due, not due, due: it begins anew.
    ([*((t, True, 0.0) for t in range(100)), (100, False, 0.0), (101, True, 0.0), (102, True, 0.0)], 1.0),
    # The process was stopped for an hour: nobody could do anything.
    ([(0, True, 0.0), (1, True, 0.0), (3601, True, 0.0)], 1.0 + MAX_STEP_SECONDS),
    # Nothing proves that it happens.
    ([(t, True, None) for t in range(11)], 10.0),
    # A clock that two threads read out of order.
    ([(5, True, 0.0), (4, True, 0.0), (5, True, 5.5)], 0.0),
]


@pytest.mark.parametrize(("looks", "expected"), HISTORIES)
def test_overdue__table(looks: list[tuple[float, bool, float | None]], expected: float) -> None:
    overdue = Overdue()

    seconds = [overdue.look(float(now), due=due, happened_at=happened) for now, due, happened in looks]

    assert seconds[-1] == pytest.approx(expected)


def test_overdue__restarts_with_a_new_connection() -> None:
    overdue = Overdue()
    for now in range(100):
        overdue.look(float(now), due=True, happened_at=0.0)

    overdue.restart()

    assert overdue.look(100.0, due=True, happened_at=0.0) == 0.0
    assert overdue.look(101.0, due=True, happened_at=0.0) == 1.0
