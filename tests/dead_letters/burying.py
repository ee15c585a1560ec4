"""Real workers whose tasks fail in every way, and messages as they really lie in the broker."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis
from celery import Celery

from celery_health.counters import decode
from celery_health.dead_letters.envelope import HEADER, decode_reason
from celery_health.dead_letters.records import Reason
from celery_health.deadline import Deadline
from celery_health.store import Store
from tests.support import Worker, eventually
from tests.worker.conftest import PREFIX, truth_conf, truth_env
from tests.worker.truth import NOTES

#: `eventually`, for what waits on a whole worker: on a busy machine that takes a while.
patiently = partial(eventually, timeout=60.0, interval=0.05)


@dataclass(frozen=True, kw_only=True)
class Lying:
    """A message in the broker: nothing of it decoded, nothing taken away."""

    body: bytes
    """As published; on Redis without the base64 that kombu puts around it."""
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]

    @property
    def reason(self) -> Reason:
        """Return what our header says."""
        reason = decode_reason(self.headers)
        assert reason is not None, self.headers
        return reason

    @property
    def published(self) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
        """Return what its sender is to answer for: body, headers, properties."""
        headers = {name: value for name, value in self.headers.items() if name != HEADER}
        ours = ("delivery_info", "delivery_tag", "application_headers", "expiration", "delivery_mode")
        properties = {name: value for name, value in self.properties.items() if name not in ours}
        return self.body, headers, properties


def lying_in(app: Celery, queue: str) -> list[Lying]:
    """Return what lies in a queue of either broker, the oldest first, and leave it there."""
    with app.connection_for_read() as connection:
        if connection.transport.driver_type == "redis":
            rows = [json.loads(row) for row in connection.default_channel.client.lrange(queue, 0, -1)]
            return [
                Lying(
                    body=base64.b64decode(row["body"]), headers=row["headers"], properties=row["properties"]
                )
                for row in reversed(rows)
            ]
        channel = connection.connection.Channel(connection.connection, auto_decode=False)
        channel.open()
        found = []
        while (message := channel.basic_get(queue)) is not None:
            headers = message.properties["application_headers"]
            found.append(Lying(body=message.body, headers=headers, properties=message.properties))
        return found


class Yard:
    """One worker of the truth's tasks, with dead letters on, and what it buried."""

    def __init__(
        self, app: Celery, broker_url: str, client: redis.Redis, store: Store, start: Callable[..., Worker]
    ) -> None:
        self.app = app
        self.broker_url = broker_url
        self.client = client
        self._store = store
        self._start = start

    def worker(
        self, *, letters: Mapping[str, Any] | None = None, conf: Mapping[str, Any] | None = None, **more: Any
    ) -> Worker:
        """Start a worker; `letters` is its DEAD_LETTERS."""
        url = self.store_url
        health = {
            "DEAD_LETTERS": {"enabled": True} if letters is None else letters,
            "FLUSH_INTERVAL": 0.2,
            "HEARTBEAT_INTERVAL": 1,
            "STORE_URL": url,
        }
        return self._start(
            self.broker_url,
            health={**health, **more.pop("health", {})},
            conf=truth_conf(**(conf or {})),
            env=truth_env(url, url),
            **more,
        )

    @property
    def store_url(self) -> str:
        """Return where the store and the truth are."""
        return str(self.client.get("url"), "ascii")  # type: ignore[arg-type]

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Send one of the truth's tasks, and return its id."""
        return str(self.app.send_task(PREFIX + name, args, **options).id)

    def publish(self, body: bytes, *, content_type: str = "application/json", **options: Any) -> None:
        """Put a message into the queue whatever is in it."""
        with self.app.connection_for_write() as connection:
            self.app.amqp.queues["celery"](connection.default_channel).declare()
            connection.Producer().publish(
                body, exchange="", routing_key="celery", content_type=content_type,
                content_encoding=options.pop("content_encoding", "utf-8"), **options,
            )  # fmt: skip

    def ran(self) -> Counter[tuple[str, str]]:
        """Return how often each (task, what) ran, by the tasks' own notes."""
        return Counter((task, what) for task, what in map(json.loads, self.client.lrange(NOTES, 0, -1)))

    def letters(self, queue: str = "celery") -> list[Lying]:
        """Return the dead letters of a queue, the oldest first."""
        return self.lying(queue + ".dead")

    def lying(self, queue: str) -> list[Lying]:
        """Return what lies in a queue; nothing where there is no such queue."""
        try:
            return lying_in(self.app, queue)
        except self.app.connection_for_read().channel_errors:  # no such queue on RabbitMQ
            return []

    def reasons(self) -> dict[str, tuple[str, str]]:
        """Return (cause, exception) by task id; fail where a task has two letters."""
        found = self.letters()
        reasons = {
            str(one.headers.get("id")): (one.reason.cause.value, one.reason.exception) for one in found
        }
        assert len(reasons) == len(found), [one.reason for one in found]
        return reasons

    def counted(self, family: str) -> dict[tuple[str, ...], int]:
        """Return the totals of one family: labels → count."""
        counted: dict[tuple[str, ...], int] = {}
        for field, total in (self._store.read(Deadline.after(5), totals=True).totals or {}).items():
            cell = decode(field)
            if cell is not None and cell.family.name == family:
                counted[cell.labels] = counted.get(cell.labels, 0) + total
        return counted
