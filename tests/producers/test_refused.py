"""Tasks that were to be sent and were not: counted, told, and never in the way of who sends them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from celery.app.amqp import AMQP
from kombu.exceptions import EncodeError, OperationalError

from celery_health.producers import connect
from celery_health.reporting.process import TOTALS, TROUBLES
from tests.producers.test_producers import run_script
from tests.support import ROOT, RabbitServer, RedisServer, Worker, eventually, project_env

KEYS = "celery_health:tests.project:"


@pytest.fixture
def store() -> Iterator[RedisServer]:
    """A store that takes writes while the broker does not."""
    with RedisServer() as server:
        yield server


def counted(store: RedisServer) -> dict[str, int]:
    """Return what was not sent, by exception."""
    with redis.Redis.from_url(store.url) as client:
        found = client.hgetall(f"{KEYS}totals")
    rows = (key.decode().split("\x1f") for key in found if key.startswith(b"publish_failed"))
    return {row[2]: int(found["\x1f".join(row).encode()]) for row in rows}


def told(store: RedisServer) -> list[dict[str, Any]]:
    with redis.Redis.from_url(store.url) as client:
        return [json.loads(one.split(b" ", 3)[3]) for one in client.hvals(f"{KEYS}troubles")]


@pytest.mark.smoke
@pytest.mark.live
def test_refused__is_raised_as_before_counted_and_told(redis_url: str, store: RedisServer) -> None:
    """As a web server whose broker is full, read-only, forbids it, and comes back: threads send at once."""
    done = run_script(
        redis_url,
        f"""
        import redis, threading
        client = redis.Redis.from_url({redis_url!r})
        seen = []
        def attempt(**options):
            try:
                tasks.add.apply_async(retry=False, **options)
                seen.append("sent")
            except Exception as error:
                seen.append(type(error).__name__)
        client.config_set("maxmemory", 1)
        threads = [threading.Thread(target=attempt) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        client.config_set("maxmemory", 0)
        client.execute_command("ACL", "SETUSER", "default", "-lpush")
        attempt()
        client.execute_command("ACL", "SETUSER", "default", "+lpush")
        attempt(args=(object(),))
        attempt()
        from celery_health.reporting.process import TROUBLES
        print(seen, TROUBLES._calls)
        """,
        health={"STORE_URL": store.url},
    )
    assert done.returncode == 0, done.stderr
    expected = [*["OperationalError"] * 9, "EncodeError", "sent"]
    assert done.stdout.strip() == f"{expected} {{}}"
    assert sum(counted(store).values()) == 10
    assert counted(store)["EncodeError"] == 1
    with redis.Redis.from_url(store.url) as client:
        [ring] = [client.hgetall(key) for key in client.keys(f"{KEYS}ring:*")]
    # What its sender did wrong is no refusal of the broker's.
    assert ring[b"tests.project.tasks.add\x1frefused"] == b"9"
    assert ring[b"tests.project.tasks.add\x1fsent"] == b"1"
    [one] = told(store)
    assert one["refused"]["task"] == "tests.project.tasks.add"
    assert "maxmemory" in one["refused"]["error"] or "permission" in one["refused"]["error"]


@pytest.mark.live
def test_refused__a_broker_that_is_down_and_counts_wait_for_the_store(
    own_redis: Callable[..., RedisServer],
) -> None:
    # Broker and store are one server: what it refused is told when it is back.
    server = own_redis()
    script = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _SENDS_AND_WAITS],
        env={"PATH": "/usr/bin:/bin", **project_env(server.url, health={"FLUSH_INTERVAL": 0.2})},
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert script.stdout is not None and script.stdin is not None
        assert script.stdout.readline().strip() == "ready"
        server.stop()
        script.stdin.write("send\n")
        script.stdin.flush()
        assert script.stdout.readline().strip() == "OperationalError"
        server.start()
        assert eventually(lambda: counted(server), 20) == {"ConnectionError": 1}
        assert told(server)
    finally:
        script.communicate("end\n", timeout=20)
    assert script.returncode == 0


_SENDS_AND_WAITS = """
import django; django.setup()
from tests.project.celery import app
from tests.project import tasks
tasks.noop.delay()
print("ready", flush=True)
while input() == "send":
    try:
        tasks.noop.apply_async(retry=False)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


@pytest.mark.live
@pytest.mark.slow
def test_hanging__is_told_while_it_lasts(own_redis: Callable[..., RedisServer], store: RedisServer) -> None:
    broker = own_redis()
    script = subprocess.Popen(
        [sys.executable, "-c", _SENDS_AND_WAITS],
        env={
            "PATH": "/usr/bin:/bin",
            **project_env(broker.url, health={"FLUSH_INTERVAL": 0.2, "STORE_URL": store.url}),
        },
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert script.stdout is not None and script.stdin is not None
        assert script.stdout.readline().strip() == "ready"
        broker.pause()
        script.stdin.write("send\n")
        script.stdin.flush()
        [one] = eventually(lambda: told(store), 20)
        assert (one["hanging"]["count"], one["hanging"]["tasks"]) == (1, ["tests.project.tasks.noop"])
        broker.resume()
        eventually(lambda: not told(store), 20)
    finally:
        script.communicate("end\n", timeout=20)


@pytest.mark.live
@pytest.mark.rabbitmq
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_blocked__is_heard_by_what_sends_and_by_workers(
    rabbit: RabbitServer, rabbit_url: str, store: RedisServer, worker_factory: Callable[..., Worker]
) -> None:
    """An alarm of RabbitMQ: 25 delay() calls in a thread return at once, and nothing enters a queue."""
    health = {"STORE_URL": store.url, "FLUSH_INTERVAL": 0.2, "HEARTBEAT_INTERVAL": 0.5}
    worker_factory(rabbit_url, health=health)
    rabbit.set_alarm("memory")
    try:
        done = run_script(
            rabbit_url,
            """
            import threading, time
            def send():
                for _ in range(25):
                    tasks.noop.delay()
                    time.sleep(0.02)
            thread = threading.Thread(target=send)
            thread.start()
            thread.join(10)
            time.sleep(1)
            print(thread.is_alive())
            """,
            health=health,
        )
        assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
        found = eventually(lambda: [one for one in told(store) if "blocked" in one], 20)
        eventually(lambda: sum("blocked" in one for one in told(store)) == 2, 20)
        assert all(one["blocked"]["quiet_seconds"] < 60 for one in found)
    finally:
        rabbit.clear_alarm("memory")
    # The worker hears that it is over; the script has ended, and its word grows old.
    eventually(lambda: sum("blocked" in one for one in told(store)) == 1, 20)


# In this process -------------------------------------------------------------------------------------


@pytest.fixture
def memory_app() -> Iterator[Callable[..., Celery]]:
    connect()
    apps: list[Celery] = []

    def make(**changes: Any) -> Celery:
        apps.append(Celery("tests", broker="memory://", set_as_current=False, **changes))
        return apps[-1]

    TOTALS.drain()
    yield make
    TOTALS.drain()
    TROUBLES._forget()
    for app in apps:
        app.close()


def failed() -> dict[str, int]:
    found = TOTALS.drain().fields
    return {key.split("\x1f")[2]: amount for key, amount in found.items() if key.startswith("publish_failed")}


class OwnAmqp(AMQP):
    """As projects bring one."""

    def _create_task_sender(self) -> Callable[..., Any]:
        send = super()._create_task_sender()  # type: ignore[misc]

        def own(producer: Any, name: str, message: Any, **options: Any) -> Any:
            return send(producer, name, message, **options, headers={"own": 1})

        return own


@pytest.mark.parametrize("amqp", [AMQP, OwnAmqp])
def test_watching__holds_for_every_app_from_its_first_task_on(
    memory_app: Callable[..., Celery], amqp: type[AMQP]
) -> None:
    for _ in range(2):
        app = memory_app(amqp=amqp)
        with pytest.raises(EncodeError):
            app.send_task("x", (object(),))
        assert failed() == {"EncodeError": 1}
        assert app.send_task("x", (1,)).id


def test_watching__passes_on_what_is_raised_and_forgets_the_call(memory_app: Callable[..., Celery]) -> None:
    app = memory_app()

    class Ended(BaseException):
        """As a greenlet that is killed."""

    def fail(error: BaseException) -> None:
        with app.producer_or_acquire() as producer:
            producer.publish = lambda *args, **options: (_ for _ in ()).throw(error)
            with pytest.raises(type(error)) as caught:
                app.amqp.send_task_message(producer, "x", app.amqp.create_task_message("1", "x"))
            assert caught.value is error
            del producer.publish

    fail(OperationalError("no"))
    assert failed() == {"OperationalError": 1}
    # Who is ended was not refused.
    fail(Ended())
    assert failed() == {}
    assert TROUBLES._calls == {}


def test_watching__an_error_of_its_own_is_no_error_of_the_senders(
    memory_app: Callable[..., Celery], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(TROUBLES, "listen", broken)
    monkeypatch.setattr(TROUBLES, "failed", broken)
    app = memory_app()
    assert app.send_task("x").id
    with pytest.raises(EncodeError):
        app.send_task("x", (object(),))
