"""Who is to blame when a process stands still: its broker, or itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from celery import Celery

from celery_health.reporting.broker_watch import ASK_AFTER_SECONDS, BrokerWatch, is_late
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from tests.support import RedisServer, eventually, free_port, unanswered_port


def watch_of(app: Celery) -> BrokerWatch:
    return BrokerWatch(app, Faults(Totals()))


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "celery_health-broker"]


def test_broker_watch__answers_so_it_is_the_process(redis_url: str, make_app: Callable[..., Celery]) -> None:
    watch = watch_of(make_app(redis_url))
    still_since = time.monotonic() - 10
    # Nobody has been asked yet: nobody knows.
    assert watch.blameless_since(still_since) is None
    since = eventually(lambda: watch.blameless_since(still_since), 10)
    # Not from when it stood still: the broker may have been away until now.
    assert still_since + 10 <= since <= time.monotonic()
    assert watch.blameless_since(still_since) == since
    # It has stood still for a shorter time than the broker has answered.
    assert watch.blameless_since(since + 1) == since + 1
    assert threads() == ["celery_health-broker"]
    watch.forget()
    eventually(lambda: not threads())
    assert watch.blameless_since(still_since) is None
    watch.forget()
    eventually(lambda: not threads())


@pytest.mark.parametrize("what", ["refused", "unanswered", "unreadable"])
def test_broker_watch__away_or_unable_to_be_asked(what: str, make_app: Callable[..., Celery]) -> None:
    with unanswered_port() as port:
        urls = {
            "refused": f"redis://127.0.0.1:{free_port()}/0",
            "unanswered": f"redis://127.0.0.1:{port}/0",
            # Asking would change it, so nobody can say.
            "unreadable": "sqla+sqlite:///:memory:",
        }
        watch = watch_of(make_app(urls[what]))
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert watch.blameless_since(time.monotonic() - 60) is None
            time.sleep(0.2)
        watch.forget()
        eventually(lambda: not threads())


def test_broker_watch__counts_from_when_the_broker_came_back(
    own_redis: Callable[..., RedisServer], make_app: Callable[..., Celery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery_health.reporting.broker_watch.ASK_EVERY_SECONDS", 0.1)
    server = own_redis()
    watch = watch_of(make_app(server.url))
    first = eventually(lambda: watch.blameless_since(0.0), 10)
    server.pause()
    eventually(lambda: watch.blameless_since(0.0) is None, 10)
    server.resume()
    assert eventually(lambda: watch.blameless_since(0.0), 10) > first
    watch.forget()
    eventually(lambda: not threads())


def test_late__only_after_a_while() -> None:
    assert not is_late(None, 100.0)
    assert not is_late(100.0, 100.0 + ASK_AFTER_SECONDS)
    assert is_late(100.0, 100.1 + ASK_AFTER_SECONDS)
