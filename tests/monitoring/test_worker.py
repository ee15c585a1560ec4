"""A real worker: its main process sees every option, and the tasks run as ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery

from tests.monitoring import every_order_names as orders
from tests.support import Worker, eventually

SEEN = {
    "monitored": True,
    "is_task": True,
    "options": [120.0, {"tier": "tier"}, "(<class 'ValueError'>,)"],
}


@pytest.mark.smoke
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_worker__sees_every_option_and_runs_every_task(
    pool: str,
    redis_url: str,
    redis_client: redis.Redis,
    worker_factory: Callable[..., Worker],
    make_app: Callable[..., Celery],
) -> None:
    worker = worker_factory(
        redis_url,
        pool=pool,
        health={"MONITOR_ALL_TASKS": False},
        conf={"include": ["tests.monitoring.every_order"]},
        env={"CELERY_TEST_RESULTS": redis_url},
    )
    app: Any = make_app(redis_url)
    worker.wait_heeds(app)
    answer = app.control.broadcast(
        "monitoring_seen", destination=[worker.hostname], reply=True, timeout=10, limit=1
    )
    seen = answer[0][worker.hostname]
    assert seen.pop("pid") == worker.pid
    assert seen.pop("monitors_all") is False
    assert seen.pop("plain") == {"monitored": False, "is_task": True, "options": None}
    assert seen == dict.fromkeys(orders.NAMES, SEEN)

    names = (*orders.NAMES, "plain")
    ids = {name: app.send_task(f"tests.monitoring.every_order.{name}", ["gold"]).id for name in names}
    for name, task_id in ids.items():
        wanted = "gold at attempt 2" if name in orders.RETRIED else "gold"
        # Read as it lies in Redis: Celery's own consumer of results outlives the test.
        key = f"celery-task-meta-{task_id}"
        eventually(lambda key=key: success(redis_client.get(key)), 30, what=f"{name} succeeds")
        assert success(redis_client.get(key)) == wanted


def success(stored: Any) -> object:
    meta = json.loads(stored or "{}")
    return meta["result"] if meta.get("status") == "SUCCESS" else None
