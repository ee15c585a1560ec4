"""What processes say of publications that did not get through, in ``broker.writable``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.broker import BrokerWritable
from celery_health.health.refused import evidence_of
from celery_health.records import (
    Blocked,
    BrokerState,
    CheckStatus,
    Hanging,
    LastError,
    NearLimit,
    Refused,
    SentElsewhere,
    Writes,
)
from celery_health.testing import make_snapshot

LAST = LastError(
    task="shop.pay", exception="OperationalError", text="OOM command not allowed", age_seconds=9.0
)
REFUSED = Refused(tasks={"shop.pay": 2, "shop.mail": 5}, last=LAST)
BLOCKED = Refused(blocked=(Blocked(process="w1@a", seconds=95.0), Blocked(process="w2@a", seconds=3.0)))

ASTRAY = Refused(
    elsewhere=(
        SentElsewhere(
            process="process 7 on web-1",
            app="default",
            broker="amqp://guest:**@localhost:5672//",
            is_default=True,
            is_unset=True,
            sent=3,
            failed=2,
            tasks=("shop.pay",),
        ),
    )
)


def hanging(seconds: float) -> Refused:
    one = Hanging(process="process 7 on web-1", count=2, seconds=seconds, tasks=("shop.pay",))
    return Refused(hanging=(one,))


@pytest.mark.parametrize(
    ("refused", "status", "message"),
    [
        (None, None, ""),  # nobody reports
        (Refused(), None, ""),
        (
            REFUSED,
            CheckStatus.WARN,
            "7 publications were refused, as reported in the last 10 min (OperationalError: OOM command not "
            "allowed): 'shop.mail', 'shop.pay'.",
        ),
        # Whose words got lost: how many is still known.
        (
            Refused(tasks={"a": 1}),
            CheckStatus.WARN,
            "1 publication was refused, as reported in the last 10 min: 'a'.",
        ),
        (
            BLOCKED,
            CheckStatus.FAIL,
            "RabbitMQ has blocked publications of w1@a and 1 more for 1 min 35 s: what is sent since then "
            "waits in the sender, enters no queue, and is lost with it.",
        ),
        (
            ASTRAY,
            CheckStatus.WARN,
            "5 tasks ('shop.pay') of process 7 on web-1 went to amqp://guest:**@localhost:5672// "
            "(2 in vain), not to this broker: it sends by Celery's default app, since its threads do not see "
            "the project's.",
        ),
        # By an app that somebody configured: it may well be for others.
        (Refused(elsewhere=(replace(ASTRAY.elsewhere[0], is_default=False, is_unset=False),)), None, ""),
        # What is tried again ends within seconds.
        (hanging(14.0), None, ""),
        (
            hanging(20.0),
            CheckStatus.WARN,
            "2 publications of process 7 on web-1 hang, for up to 20 s ('shop.pay'): whoever sends waits.",
        ),
    ],
)
def test_evidence__says(refused: Refused | None, status: CheckStatus | None, message: str) -> None:
    found = evidence_of(refused, 600.0)
    assert (found and found.status, found.message if found else "") == (status, message)
    assert found is None or found.fix


NEAR = NearLimit(
    name="maxmemory", used=95, limit=100, unit="bytes", refuses="every message", fix="Make room."
)


@pytest.mark.parametrize(
    ("writes", "refused", "statuses"),
    [
        # The broker's own word is the cause of what was refused: it is said once.
        (Writes(accepted=False, refusal="it is full"), REFUSED, ["fail"]),
        (Writes(accepted=True), REFUSED, ["warn"]),
        (Writes(accepted=True), BLOCKED, ["fail"]),
        (Writes(accepted=True, near=(NEAR,)), REFUSED, ["warn", "warn"]),
        # Where the broker cannot be asked, processes still tell.
        (Writes(), REFUSED, ["warn"]),
        (Writes(unknown="Not allowed to ask."), BLOCKED, ["fail"]),
        (Writes(unknown="Not allowed to ask."), Refused(), ["unknown"]),
        (Writes(accepted=True), Refused(), ["pass"]),
    ],
)
def test_writable__takes_the_word_of_processes(writes: Writes, refused: Refused, statuses: list[str]) -> None:
    broker = BrokerState(transport="amqp", url="amqp://b//", reachable=True, writes=writes)
    changes: dict[str, Any] = {"broker": broker, "refused": refused}
    results = list(BrokerWritable().judge(make_snapshot(**changes), Settings()))
    assert [one.status.value for one in results] == statuses
    assert all(one.recommendation for one in results if one.status.value in ("warn", "fail"))


@pytest.mark.parametrize(
    ("over", "blocked", "is_told"),
    [
        (None, 95.0, True),
        # It began before the alarm ended: its process has not heard yet.
        (5.0, 95.0, False),
        (5.0, 5.0, False),
        # A new one.
        (5.0, 3.0, True),
        # It would have heard: of another broker, to which it alone sends.
        (100.0, 195.0, True),
    ],
)
def test_evidence__who_was_blocked_before_the_alarm_ended_is_not(
    over: float | None, blocked: float, is_told: bool
) -> None:
    refused = Refused(blocked=(Blocked(process="w1@a", seconds=blocked),))
    assert (evidence_of(refused, 600.0, over) is not None) is is_told


@pytest.mark.parametrize(
    ("exception", "text", "advice"),
    [
        ("OperationalError", "MessageNacked ", "RabbitMQ did not take them: their queue is full"),
        ("AccessRefused", "Queue.bind: (403) ACCESS_REFUSED - access", "Give the user in the broker_url"),
        ("OperationalError", "this user has no permissions to run the 'sadd' command", "Give the user in"),
        (
            "PreconditionFailed",
            "(406) cannot declare queue 'a': queue limit in vhost '/' (3)",
            "Delete queues",
        ),
        ("NotAllowed", "(530) has reached the maximum allowed user limit of (1)", "Close connections"),
        ("OperationalError", "OOM command not allowed", "These tasks were not sent"),
    ],
)
def test_evidence__says_what_to_do_by_what_was_said(exception: str, text: str, advice: str) -> None:
    last = LastError(task="a", exception=exception, text=text, age_seconds=9.0)
    found = evidence_of(Refused(tasks={"a": 1}, last=last), 600.0)
    assert found is not None
    assert found.fix.startswith(advice)


def test_writable__a_user_that_may_not_send_is_proven_by_two_witnesses() -> None:
    denied = Writes(denied=True, unknown="Not allowed to send.")
    last = LastError(task="a", exception="AccessRefused", text="(403) ACCESS_REFUSED", age_seconds=9.0)
    refused = Refused(tasks={"a": 1}, last=last)
    statuses = {
        (True, True): "fail",  # both say so
        (True, False): "unknown",  # it may be meant to read alone
        (False, True): "warn",  # another user than this process's
    }
    for (is_denied, is_refused), status in statuses.items():
        broker = BrokerState(
            transport="amqp",
            url="amqp://a//",
            reachable=True,
            writes=denied if is_denied else Writes(accepted=True),
        )
        snapshot = make_snapshot(broker=broker, refused=refused if is_refused else Refused())
        (found,) = BrokerWritable().run(snapshot, Settings())
        assert found.status.value == status
