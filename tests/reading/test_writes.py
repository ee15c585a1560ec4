"""Whether messages are taken, from the broker to the verdict and to ``ready/``: one truth for both."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from celery import Celery

from celery_health import reading
from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.exceptions import RefusedError
from celery_health.health import judge
from celery_health.reading.reader import Reader
from celery_health.records import CheckResult, CheckStatus
from tests.support import RedisServer


@pytest.mark.redis
def test_writes__verdict_and_readiness_say_the_same(
    own_redis: Callable[..., RedisServer],
    make_app: Callable[..., Celery],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = own_redis()
    settings = Settings(app_id="shop")
    reader = Reader(make_app(server.url), settings)
    monkeypatch.setattr(reading, "get_reader", lambda: reader)

    def said() -> dict[str, CheckResult]:
        report = judge(reader.read(Deadline.after(5)), settings)
        return {check.id: check for check in report.checks}

    def is_ready() -> bool:
        reader.pings.forget()
        try:
            reading.check_broker(Deadline.after(5))
        except RefusedError as error:
            assert "it is full" in str(error)
            return False
        return True

    try:
        assert said()["broker.writable"].status is CheckStatus.PASS
        assert is_ready()
        with redis.Redis(port=server.port) as client:
            client.config_set("maxmemory", 1)
            found = said()
            assert found["broker.reachable"].status is CheckStatus.PASS
            assert found["broker.writable"].status is CheckStatus.FAIL
            # The same server, and the same cause.
            store = found["store.reachable"]
            assert (store.status, store.because) == (CheckStatus.UNKNOWN, "broker.writable")
            assert not is_ready()
            client.config_set("maxmemory", 0)
            # At once: what the store was asked before is older than the broker's word.
            found = said()
            assert found["broker.writable"].status is CheckStatus.PASS
            assert found["store.reachable"].status is CheckStatus.PASS
            assert is_ready()
            # What was asked left nothing; kombu itself notes who listens for commands.
            assert client.keys("*celery_health*") == []
    finally:
        reader.close()
