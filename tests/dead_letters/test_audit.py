"""What is logged of who did what: one record each, whatever the end."""

from __future__ import annotations

import logging

import pytest

from celery_health.dead_letters.audit import PURGE, REQUEUE, SET_ASIDE, audited
from celery_health.dead_letters.records import Requeued
from celery_health.dead_letters.resending import RequeueInterruptedError
from celery_health.exceptions import BrokerError, NotConsumedError, ReadableError

DONE = Requeued(
    queue="q", requeued=3, expired=0, unsendable=0, gone=0, remaining=None, looked_at=4, complete=False,
    finished=False, not_found=(), dry_run=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("action", "error", "count", "outcome"),
    [
        (REQUEUE, None, 7, "done"),
        (PURGE, None, 7, "done"),
        (REQUEUE, NotConsumedError("nobody"), 0, "NotConsumedError"),
        (REQUEUE, BrokerError("down"), 0, "BrokerError"),
        (REQUEUE, RequeueInterruptedError("down", DONE), 3, "RequeueInterruptedError"),
        (SET_ASIDE, None, 7, "done"),
        (SET_ASIDE, ReadableError("all can be read"), 0, "ReadableError"),
        # Killed in the middle: how many went is not known.
        (REQUEUE, KeyboardInterrupt(), None, "KeyboardInterrupt"),
        # The reply may have been lost after the deed.
        (PURGE, BrokerError("down"), None, "BrokerError"),
    ],
)
def test_audited(
    caplog: pytest.LogCaptureFixture,
    action: str,
    error: BaseException | None,
    count: int | None,
    outcome: str,
) -> None:
    def act() -> None:
        with audited(action, "q", "ann") as deed:
            if error is not None:
                raise error
            deed.count = 7

    if error is None:
        act()
    else:
        with pytest.raises(type(error)):
            act()

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("celery_health.audit", logging.WARNING)
    shown = "?" if count is None else count
    assert record.getMessage() == f"Dead letters: {action} of queue 'q' by ann: {shown} ({outcome})."
    assert vars(record)["count"] == count


def test_audited__names_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with audited(PURGE, "q\nDead letters: purge of queue 'x' by root", "ann\x1b[2J" + "n" * 500) as deed:
        deed.count = 0

    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert len(record.getMessage()) < 500
