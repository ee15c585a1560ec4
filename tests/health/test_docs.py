"""`docs/reference/health.md` says what the code does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields

import pytest
from celery import Celery

from celery_health.brokers.amqp import AmqpBroker
from celery_health.brokers.base import Broker
from celery_health.brokers.redis import RedisBroker
from celery_health.brokers.virtual import FilesystemBroker, MemoryBroker
from celery_health.conf import Limits
from celery_health.health.verdict import CHECKS
from celery_health.records import CheckStatus, WorkerState
from tests.support import ROOT

TEXT = (ROOT / "docs/reference/health.md").read_text()


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    section = TEXT.split(f"## {title}\n", 1)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_docs__every_check_once() -> None:
    documented = [row[0].strip("`") for row in rows("Checks")]

    assert sorted(documented) == sorted(check.id for check in CHECKS)
    assert len(documented) == len(set(documented))


def test_docs__limits_are_real() -> None:
    named = set(
        re.findall(r"`([a-z]+(?:_[a-z]+)+)`", "".join(cell for row in rows("Checks") for cell in row))
    )
    known = {limit.name for limit in fields(Limits)} | {"max_tasks_per_child"}

    assert named <= known


def test_docs__every_status_of_a_check() -> None:
    named = [name for row in rows("What a check says") for name in re.findall(r"`([a-z]+)`", row[0])]

    assert named == [status.value for status in CheckStatus]


def test_docs__every_state_of_a_worker() -> None:
    assert [row[0].strip("`") for row in rows("States of a worker")] == [state.value for state in WorkerState]


@pytest.mark.parametrize(
    ("transport", "broker"),
    [
        ("redis", RedisBroker),
        ("amqp", AmqpBroker),
        ("filesystem", FilesystemBroker),
        ("memory", MemoryBroker),
    ],
)
def test_docs__capabilities_of_each_transport(
    transport: str, broker: type[Broker], make_app: Callable[..., Celery]
) -> None:
    app = make_app("memory://")
    able = broker.capabilities if hasattr(broker, "capabilities") else broker(app).capabilities  # type: ignore[call-arg]
    (row,) = [row for row in rows("Transports") if row[0].startswith(f"`{transport}`")]

    assert row[1].startswith(("yes", "of this process")) is able.supports_length
    assert (row[2] == "yes") is able.supports_age
    assert (row[3] == "yes") is able.supports_unacked
    assert (row[4] == "yes") is able.supports_consumer_count
    assert (row[5] == "yes") is able.supports_roster
