"""Which errors end a worker, and in what words: pure, but for what the interpreter has at hand."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import WorkerShutdown, WorkerTerminate

from celery_health.worker.crash import MAX_CHARACTERS, cause_of, crash, unhandled


def given_up() -> WorkerShutdown:
    """Return what Celery raises where it may not connect again."""
    error = WorkerShutdown(1)
    error.__cause__ = ConnectionError("refused")
    return error


ENDS: list[tuple[BaseException, bool]] = [
    # Whatever a bootstep, the broker or a task's end raises.
    (RuntimeError("no"), True),
    (MemoryError(), True),
    # SIGTERM, `control shutdown`, a project's own word, and the cold shutdown.
    (WorkerShutdown(0), False),
    (WorkerShutdown(True), False),
    (WorkerTerminate(1), False),
    (KeyboardInterrupt(), False),
    (SystemExit(0), False),
    (SystemExit(None), False),
    # Nobody asked for these.
    (SystemExit(1), True),
    (SystemExit("no licence"), True),
    (given_up(), True),
]


@pytest.mark.parametrize(("error", "expected"), ENDS)
def test_crash__of_what_ends_a_worker(error: BaseException, expected: bool) -> None:
    try:
        raise error
    except BaseException:
        assert (crash() is error) is expected
    assert crash() is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (given_up(), "ConnectionError: refused"),
        (SystemExit("no licence"), "SystemExit: no licence"),
        (ValueError("amqp://shop:hidden@mq/ and s3cret"), "ValueError: amqp://shop:**@mq/ and **"),
        (ValueError("x" * 9999), f"ValueError: {'x' * (MAX_CHARACTERS - 15)}..."),
    ],
)
def test_cause__in_words(error: BaseException, words: str, make_app: Any) -> None:
    assert cause_of(error, make_app("redis://:s3cret@localhost/0")) == words


def test_cause__without_a_broker_that_can_be_read() -> None:
    assert cause_of(OSError("no"), SimpleNamespace()) == "OSError: no"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), RuntimeError("in a test, and handled there")])
def test_unhandled__is_nothing_that_others_left(
    error: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        if error is not None:
            raise error
    except BaseException as raised:
        assert raised.__traceback__ is not None
    for name in ("last_exc", "last_value"):
        monkeypatch.setattr(sys, name, error, raising=False)
    assert unhandled() is None
