from __future__ import annotations

import time

import pytest

from celery_health.deadline import Deadline
from celery_health.exceptions import DeadlineExceeded


def test_deadline__counts_down() -> None:
    deadline = Deadline.after(60)
    first = deadline.remaining()
    assert 59 < first <= 60
    assert deadline.remaining() <= first
    assert not deadline.expired
    assert 0 < deadline.timeout() <= 60


def test_deadline__used_up_says_what_was_allowed() -> None:
    deadline = Deadline(expires_at=time.monotonic() - 1, budget_seconds=2.5)
    assert deadline.expired
    assert deadline.remaining() == 0.0
    with pytest.raises(DeadlineExceeded, match=r"No answer within 2\.5 s\."):
        deadline.timeout()


def test_deadline__of_nothing_is_expired_at_once() -> None:
    assert Deadline.after(0).expired


@pytest.mark.parametrize(
    ("seconds", "budget"),
    [
        (5, 5),  # shorter than what is left: it is the new deadline
        (60, 10),  # longer: a part never outlives the whole
    ],
)
def test_within__is_the_earlier_one(seconds: float, budget: float) -> None:
    part = Deadline.after(10).within(seconds)
    assert part.budget_seconds == budget
    assert part.remaining() <= budget
