"""A storm of failures: one worker, a queue full of tasks that fail, and what that takes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import redis
from celery import Celery
from kombu import Producer

from tests.support import Worker, eventually

FAIL = "tests.project.tasks.fail"
#: What a worker in a storm is told: nothing of results, and no line of log per failure but the tracebacks.
CONF: Mapping[str, Any] = {"task_ignore_result": True, "worker_prefetch_multiplier": 16}


@dataclass(frozen=True, kw_only=True)
class Storm:
    """How one went."""

    seconds: float
    per_second: float
    memory: tuple[int, int, int]
    """Bytes of the main process alone (USS): before, half way, and when all had failed."""


def fill(app: Celery, queue: str, count: int) -> None:
    """Put `count` tasks that fail into a queue."""
    with app.connection_for_write() as connection:
        app.amqp.queues.select_add(queue)(connection.default_channel).declare()
        if connection.transport.driver_type == "redis":
            _push(connection.default_channel.client, app, queue, count)
            return
        producer = Producer(connection, auto_declare=False)
        for _ in range(count):
            app.send_task(FAIL, queue=queue, producer=producer, ignore_result=True)


def _push(client: Any, app: Celery, queue: str, count: int) -> None:
    """Copy one message: sending each through Celery would take longer than the storm."""
    app.send_task(FAIL, queue=f"{queue}-template", ignore_result=True)
    template = json.loads(client.lpop(f"{queue}-template"))
    for start in range(0, count, 1000):
        messages = []
        for _ in range(min(1000, count - start)):
            task_id = str(uuid.uuid4())
            template["headers"].update(id=task_id, root_id=task_id)
            template["properties"].update(correlation_id=task_id, delivery_tag=str(uuid.uuid4()))
            template["properties"]["delivery_info"] = {"exchange": "", "routing_key": queue}
            messages.append(json.dumps(template))
        client.lpush(queue, *messages)


def length(app: Celery, queue: str) -> int:
    """Return how many messages are ready in a queue."""
    with app.connection_for_read() as connection:
        if connection.transport.driver_type == "redis":
            return int(connection.default_channel.client.llen(queue))
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def run(app: Celery, worker: Worker, queue: str, count: int) -> Storm:
    """Fill a queue, and have the worker empty it."""
    fill(app, queue, count)
    main = psutil.Process(worker.pid)
    memory = [main.memory_full_info().uss]
    app.control.add_consumer(queue, destination=[worker.hostname])
    eventually(lambda: length(app, queue) < count, 60, interval=0.01)
    started, left = time.perf_counter(), length(app, queue)
    for rest in (left // 2, 0):
        eventually(lambda rest=rest: length(app, queue) <= rest, 600, interval=0.2)  # type: ignore[misc]
        memory.append(main.memory_full_info().uss)
    took = time.perf_counter() - started
    app.control.cancel_consumer(queue, destination=[worker.hostname])
    before, half, end = memory
    return Storm(seconds=took, per_second=left / took, memory=(before, half, end))


def clear(client: redis.Redis, queue: str) -> None:
    """Take away what a storm left."""
    client.delete(queue, f"{queue}.dead")
