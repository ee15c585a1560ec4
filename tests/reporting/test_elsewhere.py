"""What is sent to other brokers: judged once for each app, counted, told, and bounded."""

from __future__ import annotations

import os
from time import monotonic

import pytest

from celery_health.reporting import elsewhere
from celery_health.reporting.elsewhere import MAX_APPS, MAX_TASKS, Elsewhere, Judged
from celery_health.reporting.totals import Totals
from celery_health.reporting.troubles import REPEAT_SECONDS, Troubles

OTHER = Judged(True, "default", "amqp://guest:**@localhost:5672//", True, True)


class App:
    """Stands for a Celery app: only its identity counts here."""


def test_sending__of_the_watched_app_is_judged_once_and_told_of_never() -> None:
    asked: list[object] = []
    all_sent = Elsewhere(lambda app: asked.append(app) or Judged(False))
    app = App()
    sending = all_sent.sending_of(app)
    for _ in range(3):
        sending.judge()
    assert (sending.is_other, asked, all_sent.is_any) == (False, [app], False)


def test_sending__before_it_is_known_which_app_is_watched_is_told_once_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([None, OTHER])
    all_sent = Elsewhere(lambda app: next(answers))
    app = App()
    sending = all_sent.sending_of(app)
    sending.judge()
    sending.count("pay", failed=True)
    assert all_sent.state(monotonic()) == []
    # Not asked again at each publication.
    assert sending.is_other is None

    monkeypatch.setattr(elsewhere, "RETRY_SECONDS", 0.0)
    (told,) = all_sent.state(monotonic())
    assert {**told, "seconds": 0} == {
        "app": "default",
        "broker": "amqp://guest:**@localhost:5672//",
        "is_default": True,
        "is_unset": True,
        "sent": 0,
        "failed": 1,
        "tasks": ["pay"],
        "seconds": 0,
    }
    assert all_sent.state(monotonic() + 700) == []


def test_elsewhere__is_bounded() -> None:
    all_sent = Elsewhere(lambda app: OTHER)
    apps = [App() for _ in range(MAX_APPS + 3)]
    for app in apps:
        sending = all_sent.sending_of(app)
        sending.judge()
        for number in range(MAX_TASKS + 3):
            sending.count(f"{number}" * 900, failed=False)
    told = all_sent.state(monotonic())
    assert len(told) == MAX_APPS
    assert {(one["sent"], len(one["tasks"]), max(map(len, one["tasks"]))) for one in told} == {
        (MAX_TASKS + 3, MAX_TASKS, 500)
    }


def test_troubles__tell_it_at_once_and_then_now_and_then() -> None:
    all_sent = Elsewhere(lambda app: OTHER)
    troubles = Troubles(Totals(), all_sent)
    app = App()
    sending = all_sent.sending_of(app)
    sending.judge()
    assert troubles.due(monotonic()) is None

    sending.count("pay", failed=False)
    now = monotonic()
    state = troubles.due(now)
    assert state is not None
    assert (state["elsewhere"][0]["sent"], state["pid"]) == (1, os.getpid())
    troubles.told(state, now)
    assert troubles.due(now + REPEAT_SECONDS + 1) is None

    sending.count("pay", failed=False)
    assert troubles.due(now + 1) is None
    later = troubles.due(now + REPEAT_SECONDS + 1)
    assert later is not None and later["elsewhere"][0]["sent"] == 2


def test_troubles__a_fork_begins_anew() -> None:
    all_sent = Elsewhere(lambda app: OTHER)
    troubles = Troubles(Totals(), all_sent)
    app = App()
    sending = all_sent.sending_of(app)
    sending.judge()
    sending.count("pay", failed=False)
    troubles._forget()
    assert (sending.sent, sending.is_other, all_sent.state(monotonic())) == (0, True, [])
