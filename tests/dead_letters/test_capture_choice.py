"""Which tasks' messages are kept, what becomes of letters in an outage, and whose queues they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery, _state

from celery_health import get_report, reading
from celery_health.records import CheckStatus
from celery_health.store import open_store
from tests.dead_letters.burying import Yard, patiently
from tests.support import RedisServer, Worker

HERE = "tests.dead_letters.choosing"
on_redis = pytest.mark.parametrize("broker_url", ["redis"], indirect=True)


@on_redis
@pytest.mark.parametrize(
    ("enabled", "kept"),
    [
        (False, {"always key", "some value", "some key", "some special", "one special"}),
        (True, {"always key", "some value", "some key", "some special", "one special", "unsaid key"}),
    ],
)
def test_choice__task_before_app(enabled: bool, kept: set[str], yard: Yard) -> None:
    worker = yard.worker(pool="solo", letters={"enabled": enabled}, conf={"include": [HERE]})
    for name, told in [
        ("always", "key"), ("never", "key"), ("some", "value"), ("some", "key"), ("some", "special"),
        ("one", "special"), ("one", "key"), ("unsaid", "key"),
    ]:  # fmt: skip
        yard.app.send_task(f"{HERE}.{name}", [told], task_id=f"{name} {told}")
    patiently(lambda: sum(yard.counted("failed").values()) == 8)
    worker.stop()
    assert set(yard.reasons()) == kept


@on_redis
def test_choice__another_suffix_and_cap(yard: Yard) -> None:
    letters = {"enabled": True, "suffix": "-dlq", "max_length": 3}
    worker = yard.worker(pool="solo", letters=letters)
    sent = [yard.send("early", "fail") for _ in range(8)]
    patiently(lambda: sum(yard.counted("dead_lettered").values()) == 8)
    worker.stop()
    assert [one.headers["id"] for one in yard.lying("celery-dlq")] == sent[-3:]
    assert yard.counted("dead_letters_dropped") == {("celery", "length"): 5}
    assert "dead letters of queue 'celery' are lost" in worker.log


def test_outage__letters_wait_and_are_written_after_it(
    own_redis: Callable[..., RedisServer],
    redis_url: str,
    redis_client: redis.Redis,
    make_app: Callable[..., Celery],
    worker_factory: Callable[..., Worker],
) -> None:
    broker = own_redis()
    redis_client.set("url", redis_url)
    store = open_store(make_app(redis_url))
    assert store is not None
    yard = Yard(make_app(broker.url), broker.url, redis_client, store, worker_factory)
    worker = yard.worker(pool="threads", concurrency=2, conf={"result_backend": None})
    # Fails while the broker is away: it sleeps after its note, and then fails.
    yard.send("early", "fail", 2)
    patiently(lambda: yard.ran())
    broker.kill()
    worker.wait_for_log("Dead letters cannot be written now")
    broker.start()
    (letter,) = patiently(yard.letters)
    worker.stop()
    store.close()
    assert letter.reason.exception == "Boom"
    assert "Dead letters are written again" in worker.log


def test_queue__is_no_ordinary_one(yard: Yard, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = yard.worker(pool="solo")
    yard.send("early", "fail")
    patiently(yard.letters)
    settings.CELERY_HEALTH = {
        "DEADLINE": 10,
        "APP_ID": "tests.project",
        "STORE_URL": yard.store_url,
        "DEAD_LETTERS": {"enabled": True},
    }
    monkeypatch.setattr(_state._tls, "current_app", yard.app, raising=False)  # type: ignore[attr-defined]
    monkeypatch.setattr(_state, "default_app", yard.app)
    monkeypatch.setattr(reading, "_reader", None)
    report = get_report()
    assert reading._reader is not None
    reading._reader.close()
    assert [queue.name for queue in report.snapshot.queues] == ["celery"]
    of_queues = [check for check in report.checks if check.id.startswith("queues.")]
    assert {check.status for check in of_queues} == {CheckStatus.PASS}
    worker.stop()
