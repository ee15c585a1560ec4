"""Read by mypy, never run: the decorator keeps the type of what it decorates, in every order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, assert_type

from celery import Celery, Task, shared_task

from celery_health import MonitoredTask, monitor_task

app = Celery()


def plain(customer_id: int, tier: str) -> float:
    return 1.0


@shared_task
@monitor_task
def under(customer_id: int) -> float:
    return 1.0


@monitor_task(
    labels={"tier": "tier", "plan": lambda *args, **kwargs: "x"}, dead_letter=(ValueError, KeyError)
)
@shared_task
def over(customer_id: int, tier: str) -> float:
    return 1.0


@shared_task(bind=True)
@monitor_task(expected=5, labels=("customer_id",), dead_letter=ValueError)
def bound(self: Task[..., Any], customer_id: int) -> float:
    return 1.0


@shared_task(base=MonitoredTask, expected=timedelta(minutes=2), labels=["customer_id"], dead_letter=True)
def based(customer_id: int) -> float:
    return 1.0


@shared_task(base=MonitoredTask, bind=True)
def based_and_bound(self: MonitoredTask, customer_id: int) -> float:
    return 1.0


class Base(MonitoredTask):
    abstract = True
    expected = timedelta(minutes=1)
    labels = {"tier": "tier"}
    dead_letter = [ValueError]


@monitor_task
class Report(Base):
    def run(self, number: int) -> int:
        return number


@app.task(base=Base)
def of_the_app(number: int) -> int:
    return number


assert_type(monitor_task(plain)(1, "gold"), float)
assert_type(monitor_task(expected=timedelta(minutes=2))(plain)(1, "gold"), float)
monitor_task(plain)("1", "gold")  # type: ignore[arg-type]
assert_type(under(1), float)
assert_type(over(1, "gold"), float)
assert_type(over.delay(1, "gold").get(), float)
under("1")  # type: ignore[arg-type]
over(1)  # type: ignore[call-arg]
assert_type(based, MonitoredTask)
assert_type(based_and_bound, MonitoredTask)
assert_type(Report, type[Report])
assert_type(Report().run(1), int)
decorator: Callable[[int], int] = monitor_task(expected=1)

monitor_task(expected="5")  # type: ignore[call-overload]
monitor_task(expcted=5)  # type: ignore[call-overload]
monitor_task(dead_letter=5)  # type: ignore[call-overload]
monitor_task(labels=5)  # type: ignore[call-overload]
