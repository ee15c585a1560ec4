"""Fixtures: an app that is this process's current one, and a way to put letters into its boxes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, _state
from kombu import Queue

from celery_health import reading
from celery_health.conf import Settings, get_settings
from celery_health.dead_letters.boxes import Batch, Box
from celery_health.dead_letters.capture import Failure, capture
from celery_health.dead_letters.opening import open_box
from celery_health.dead_letters.records import Cause
from celery_health.deadline import Deadline
from celery_health.store import open_store
from tests.dead_letters.burying import Yard
from tests.support import Worker

BOOM = Failure(
    cause=Cause.EXCEPTION,
    exception="Boom",
    message="failed as told",
    traceback="Traceback (most recent call last):\nBoom: failed as told",
)


class Post:
    """Writes letters as a worker does: what was published is taken from its queue and put into the box."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.box: Box = open_box(app, get_settings())
        self._numbers = itertools.count(1)

    def publish(self, queue: str = "celery", *, task: str = "record", **options: Any) -> str:
        """Send a task, and return its id."""
        return str(self.app.send_task(task, queue=queue, **options).id)

    def take(self, queue: str) -> Any:
        """Return the next message of a queue, taken for good; None when it is empty."""
        with self.app.connection_for_read() as connection:
            return Queue(queue)(connection.default_channel).get(no_ack=True)

    def letter(
        self, queue: str = "celery", *, task: str = "record", failure: Failure = BOOM, **options: Any
    ) -> str:
        """Put a dead letter into the box of `queue`, and return its task's id."""
        task_id = self.publish(queue, task=task, **options)
        self.bury(queue, failure)
        return task_id

    def bury(self, queue: str = "celery", failure: Failure = BOOM) -> None:
        """Make the next message of `queue` a dead letter."""
        message = self.take(queue)
        assert message is not None, f"{queue} is empty"
        self.write(queue, capture(message, failure, queue=queue, worker="w1@test"))

    def write(self, queue: str, *letters: Any) -> int:
        """Write captured letters, and return how many went for them."""
        batch = Batch(number=next(self._numbers), queue=queue, letters=letters)
        return self.box.write(batch, Deadline.after(10))

    def ready(self, queue: str) -> int:
        """Return how many messages wait in a queue."""
        from celery_health.brokers import open_broker

        broker = open_broker(self.app, 10)
        try:
            ready = broker.read([queue], Deadline.after(10)).queues[queue].ready
            assert ready is not None
            return ready
        finally:
            broker.close()


class OtherLook:
    """Somebody else's look at the letters of a queue: on RabbitMQ it takes them, and acknowledges none."""

    def __init__(self, app: Celery, queue: str) -> None:
        self._connection = app.connection_for_read()
        self._channel: Any = self._connection.default_channel
        self._dead = f"{queue}.dead"

    def take(self, count: int) -> None:
        """Hold the next `count` letters."""
        for _ in range(count):
            assert self._channel.basic_get(self._dead) is not None

    def end(self) -> None:
        """Put them back; they are there when this returns."""
        if self._connection.connected:
            self._channel.basic_recover(requeue=True)
            self._channel.queue_declare(self._dead, passive=True)
            self._connection.close()


def make_current(app: Celery) -> None:
    """Make `app` the one that celery_health finds."""
    _state._tls.current_app = app  # type: ignore[attr-defined]
    app.set_default()  # put back after the test, as all apps are


@pytest.fixture
def current_app(celery_app: Celery, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """An app that `find_app` finds, under the name of the workers, with a deadline for a busy machine."""
    # The shared tasks of the test project would stay in every app of this process.
    monkeypatch.setattr("celery_health.topology.reading.import_tasks", lambda app, **_: app.finalize())
    settings.CELERY_HEALTH = {"DEADLINE": 10, "APP_ID": "tests.project"}
    before = getattr(_state._tls, "current_app", None)  # type: ignore[attr-defined]
    make_current(celery_app)
    yield celery_app
    _state._tls.current_app = before  # type: ignore[attr-defined]
    reader, reading._reader = reading._reader, None
    if reader is not None:
        reader.close()


@pytest.fixture
def post(current_app: Celery) -> Iterator[Post]:
    """A box on each kind of broker, and what to fill it with."""
    post = Post(current_app)
    yield post
    post.box.close()


@pytest.fixture
def other_look(post: Post) -> Iterator[OtherLook]:
    look = OtherLook(post.app, "celery")
    yield look
    look.end()


@pytest.fixture
def recorded(tmp_path: Path, worker_factory: Callable[..., Any], broker_url: str) -> Callable[..., Any]:
    """Start a worker that records its tasks; the result reads them: ``read = recorded(queues=["q"])``."""
    path = tmp_path / "record.jsonl"

    def start(**options: Any) -> Callable[[], list[dict[str, Any]]]:
        worker_factory(
            broker_url,
            app="tests.dead_letters.recording",
            env={"CELERY_TEST_RECORD": str(path)},
            **options,
        )

        def read() -> list[dict[str, Any]]:
            return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

        return read

    return start


@pytest.fixture
def yard(
    broker_url: str,
    redis_url: str,
    redis_client: redis.Redis,
    make_app: Callable[..., Celery],
    worker_factory: Callable[..., Worker],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Yard]:
    """A way to start workers whose tasks fail as they are told, and to see what they bury."""
    monkeypatch.setenv("CELERY_HEALTH_PROBE_DIR", str(tmp_path))
    # Store and truth are in Redis whatever the broker is.
    redis_client.set("url", redis_url)
    store = open_store(make_app(redis_url), Settings(app_id="tests.project"))
    assert store is not None
    yield Yard(make_app(broker_url), broker_url, redis_client, store, worker_factory)
    store.close()
