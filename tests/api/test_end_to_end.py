"""The paths over real brokers, real workers and a real web server: what the project's users will see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Queue

from tests.api.conftest import PREFIX
from tests.support import ROOT, RabbitServer, RedisServer, Response, WebServer, Worker, eventually, free_port

pytestmark = pytest.mark.live

HEALTH = PREFIX + "health/"
#: Every rank may read: who may is shown in `test_permissions`.
OPEN = {"PERMISSIONS": {"read": "rest_framework.permissions.AllowAny"}}
#: A worker that says goodbye may be replaced; these tests do not wait for that.
NO_GRACE = {"LIMITS": {"restart_grace_seconds": 1}}
#: Seconds that the answer may take over DEADLINE, on a machine that is busy with other tests.
MARGIN = 0.25

Start = Callable[..., Any]


def answers(web: WebServer, path: str, wanted: Callable[[Any], bool]) -> Any:
    """Return the first body at `path` that is as `wanted`: what was read may be a second old."""

    def ask() -> Any:
        body = web.request(PREFIX + path).json()
        try:
            assert wanted(body), body
        except KeyError as error:
            raise AssertionError(f"no {error} in {body}") from None
        return body

    return eventually(ask, timeout=20, interval=0.1)


@pytest.mark.smoke
def test_health__worker_comes_and_goes(broker_url: str, worker_factory: Start, web_server: Start) -> None:
    web = web_server(broker_url, health=NO_GRACE)
    worker = worker_factory(broker_url)

    body = answers(web, "health/", lambda body: body["status"] == "healthy")
    response = web.request(HEALTH)
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert body["workers"] == {"healthy": True, "active_workers": [worker.hostname], "worker_count": 1}
    assert body["queues"] == {"celery": 0}
    assert web.request(PREFIX + "ready/").json() == {"status": "ready"}
    assert web.request(PREFIX + "ready/?strict=1").json() == {"status": "ready"}

    worker.stop()

    body = answers(web, "health/", lambda body: body["status"] == "unhealthy")
    assert web.request(HEALTH).status == 503
    assert body["workers"]["error"] == "No active Celery workers found"
    assert any("celery -A tests.project worker" in advice for advice in body["recommendations"])
    # The web process itself is as well as before.
    assert web.request(PREFIX + "live/").status == 200
    assert web.request(PREFIX + "ready/").status == 200
    assert web.request(PREFIX + "ready/?strict=1").status == 503


def test_health__depth_over_all_priorities(
    broker_url: str, worker_factory: Start, web_server: Start, make_app: Callable[..., Celery]
) -> None:
    app = make_app(broker_url)
    worker_factory(broker_url, queues=["other"])
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(1001):
            app.send_task("tests.project.tasks.noop", priority=number % 10, producer=producer)

    body = answers(web_server(broker_url), "health/", lambda body: body["queues"]["celery"] == 1001)

    (depth,) = [check for check in body["checks"] if check["id"] == "queues.depth"]
    assert (depth["status"], depth["subject"], depth["observed"], depth["limit"]) == (
        "warn",
        "celery",
        1001,
        1000,
    )
    assert "Queue 'celery' holds 1001 tasks (limit 1000)" in " ".join(body["recommendations"])


@pytest.mark.smoke
def test_tasks_stats_workers_queues__of_a_busy_worker(
    broker_url: str,
    worker_factory: Start,
    web_server: Start,
    make_app: Callable[..., Celery],
    tmp_path: Any,
) -> None:
    app = make_app(broker_url)
    shown = {"SHOW_ARGUMENTS": True}
    worker = worker_factory(broker_url, options=["--prefetch-multiplier", "2"], health=shown)
    web = web_server(broker_url, health={**OPEN, **shown})
    for _ in range(2):
        app.send_task("tests.project.tasks.wait_for_file", args=[str(tmp_path / "go")])
    app.send_task("tests.project.tasks.noop", countdown=600)

    body = answers(
        web,
        "tasks/",
        lambda body: (body["running_count"], body["reserved_count"], body["scheduled_count"]) == (1, 1, 1),
    )
    (running,), (reserved,), (scheduled,) = body["running"], body["reserved"], body["scheduled"]
    name = "tests.project.tasks.wait_for_file"
    assert (running["worker"], running["task_name"], running["queue"]) == (worker.hostname, name, "celery")
    assert 0 <= running["runtime_seconds"] < 60
    assert (reserved["worker"], reserved["task_name"]) == (worker.hostname, name)
    assert scheduled["task_name"] == "tests.project.tasks.noop"
    assert scheduled["eta"] is not None
    assert running["args"] == reserved["args"] == f"['{tmp_path / 'go'}']"
    assert body["truncated"] is False
    assert body["notes"] == []

    stats = web.request(PREFIX + "stats/").json()
    assert (stats["total_running"], stats["total_reserved"], stats["total_scheduled"]) == (1, 1, 1)
    assert stats["by_task_name"][name]["running"] == 1

    (row,) = web.request(PREFIX + "workers/").json()["workers"]
    assert (row["hostname"], row["pid"], row["pool"]) == (worker.hostname, worker.pid, "prefork")
    assert (row["concurrency"], row["active"], row["reserved"], row["scheduled"]) == (1, 1, 1, 1)
    assert row["queues"] == ["celery"]

    (row,) = web.request(PREFIX + "queues/").json()["queues"]
    assert (row["name"], row["ready"], row["consumers"], row["capacity"]) == ("celery", 0, 1, 1)

    assert web.request(PREFIX + "tasks/?task=tests.project.tasks.noop").json()["running_count"] == 0
    assert web.request(PREFIX + "tasks/?limit=x").status == 400
    (tmp_path / "go").touch()


def test_stats__totals_of_what_was_run(
    redis_url: str, worker_factory: Start, web_server: Start, make_app: Callable[..., Celery]
) -> None:
    app = make_app(redis_url)
    worker_factory(redis_url)
    web = web_server(redis_url, health=OPEN)
    for _ in range(3):
        app.send_task("tests.project.tasks.add")
    app.send_task("tests.project.tasks.fail")

    body = answers(
        web,
        "stats/",
        lambda body: (
            body["by_task_name"]["tests.project.tasks.add"]["succeeded"] == 3
            and body["by_task_name"]["tests.project.tasks.fail"]["failed"] == 1
        ),
    )

    added, failed = (body["by_task_name"][f"tests.project.tasks.{name}"] for name in ("add", "fail"))
    assert (added["started"], added["failed"], added["retried"], added["running"]) == (3, 0, 0, 0)
    assert (failed["started"], failed["succeeded"]) == (1, 0)
    quantiles = added["runtime_seconds"]
    assert 0 < quantiles["p50"] <= quantiles["p95"] <= quantiles["p99"] < 5


# A broker that does not answer

PASSWORD = "correct-horse-battery"


def paused(own_redis: Start, proxy: Start) -> str:
    server = own_redis(password=PASSWORD)
    server.pause()
    return str(server.url)


def refused(own_redis: Start, proxy: Start) -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"


def wrong_password(own_redis: Start, proxy: Start) -> str:
    server: RedisServer = own_redis(password="another-one-entirely")
    return server.url_for(password=PASSWORD)


def black_hole(own_redis: Start, proxy: Start) -> str:
    server = own_redis(password=PASSWORD)
    hole = proxy(server.port)
    hole.black_hole()
    return str(hole.url(server.url))


@pytest.mark.parametrize("broken", [paused, refused, wrong_password, black_hole])
def test_broken_redis__is_503_within_the_deadline(
    own_redis: Start, proxy: Start, web_server: Start, broken: Callable[[Start, Start], str]
) -> None:
    deadline = 1.0
    web = web_server(broken(own_redis, proxy), health={**OPEN, "DEADLINE": deadline})
    # The first request of a process imports the project's URLs, whatever it asks for.
    assert web.request(PREFIX + "live/").status == 200

    seen = {path: web.request(PREFIX + path) for path in ("health/", "ready/", "ready/?strict=1")}
    seen |= {path: web.request(PREFIX + path) for path in ("tasks/", "stats/", "workers/", "queues/")}
    # And once more, when connections are broken instead of new.
    again = web.request(HEALTH)

    for path in ("health/", "ready/", "ready/?strict=1"):
        assert seen[path].status == 503, path
    assert again.status == 503
    body = seen["health/"].json()
    assert body["status"] == "unhealthy"
    assert body["queues"]["celery"] == -1
    (reachable,) = [check for check in body["checks"] if check["id"] == "broker.reachable"]
    assert reachable["status"] == "fail"
    assert reachable["recommendation"] in body["recommendations"]
    # What nobody could say is null, and why.
    assert seen["tasks/"].json()["running_count"] is None
    assert seen["stats/"].json()["queues"]["celery"] is None
    assert seen["queues/"].json()["queues"][0]["ready"] is None
    assert "cannot be reached" in " ".join(seen["workers/"].json()["notes"])
    slowest = max([again, *seen.values()], key=lambda response: response.seconds)
    assert slowest.seconds < deadline + MARGIN
    for response in (again, *seen.values()):
        assert PASSWORD not in response.text
    assert PASSWORD not in web.log


def test_broken_redis__hangs_while_it_is_asked_and_comes_back(
    own_redis: Start, worker_factory: Start, web_server: Start
) -> None:
    server = own_redis(password=PASSWORD)
    worker_factory(server.url)
    web = web_server(server.url, health={"DEADLINE": 1})
    answers(web, "health/", lambda body: body["status"] == "healthy")

    server.pause()
    try:
        body = answers(web, "health/", lambda body: body["status"] == "unhealthy")
        response = web.request(HEALTH)
    finally:
        server.resume()

    assert response.status == 503
    assert response.seconds < 1 + MARGIN
    assert PASSWORD not in str(body)
    answers(web, "health/", lambda body: body["status"] == "healthy")


@pytest.mark.rabbitmq
def test_broken_rabbitmq__is_503_within_the_deadline(
    rabbit: RabbitServer, rabbit_vhost: str, proxy: Start, web_server: Start
) -> None:
    hole = proxy(rabbit.port)
    hole.black_hole()
    urls = [
        hole.url(rabbit.url(rabbit_vhost)),
        f"amqp://guest:{PASSWORD}@127.0.0.1:{free_port()}//",
        rabbit.url(rabbit_vhost, password=PASSWORD),
    ]

    for url in urls:
        web = web_server(url, health={"DEADLINE": 1})
        assert web.request(PREFIX + "live/").status == 200
        for path in ("health/", "ready/"):
            response = web.request(PREFIX + path)
            assert response.status == 503, url
            assert response.seconds < 1 + MARGIN, url
            assert PASSWORD not in response.text
        assert PASSWORD not in web.log
        web.close()


def test_broken_redis__does_not_hold_up_asgi(own_redis: Start, proxy: Start, web_server: Start) -> None:
    web = web_server(black_hole(own_redis, proxy), server="uvicorn", health={"DEADLINE": 2})
    assert web.request(PREFIX + "live/").status == 200

    with ThreadPoolExecutor(1) as pool:
        ready = pool.submit(web.request, PREFIX + "ready/")
        quick = 0
        while not ready.done():
            quick += web.request(PREFIX + "live/").seconds < 1

    assert ready.result().status == 503
    assert ready.result().seconds < 2 + MARGIN
    assert quick > 10


# Twenty at once


@contextmanager
def broadcasts_on_redis(url: str) -> Iterator[list[Any]]:
    """Collect what is broadcast to workers."""
    seen: list[Any] = []
    with redis.Redis.from_url(url) as client, client.pubsub() as listener:
        listener.psubscribe("*celery.pidbox")
        assert listener.get_message(timeout=5)["type"] == "psubscribe"  # type: ignore[index]
        thread = threading.Thread(target=collect, args=(listener, seen))
        thread.start()
        try:
            yield seen
        finally:
            client.publish("celery-health-test-end.celery.pidbox", "end")
            thread.join(10)


def collect(listener: Any, seen: list[Any]) -> None:
    for message in listener.listen():
        if b"celery-health-test-end" in message["channel"]:
            return
        seen.append(message)


@contextmanager
def broadcasts_on_rabbitmq(app: Celery) -> Iterator[list[Any]]:
    """Collect what is broadcast to workers."""
    seen: list[Any] = []
    with app.connection_for_read() as connection:
        channel = connection.channel()
        queue = Queue("listener", exchange=app.control.mailbox.exchange, exclusive=True, durable=False)
        bound = queue(channel)
        bound.declare()
        yield seen
        while (message := bound.get(no_ack=True)) is not None:
            seen.append(message)


def ask_at_once(web: WebServer, number: int) -> list[Response]:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: web.request(HEALTH), range(number)))


def most_readings(responses: list[Response]) -> int:
    # All of them started at once: one reading, and one more for each second that the last one took.
    return 1 + int(max(response.seconds for response in responses))


def wait_for_a_new_reading(web: WebServer) -> None:
    eventually(lambda: web.request(HEALTH).json()["age_seconds"] > 0.9, interval=0.01)


def check_twenty_at_once(
    web: WebServer, broadcasts: Callable[[], AbstractContextManager[list[Any]]], workers: list[str]
) -> None:
    # What one reading broadcasts depends on what the workers are: nothing, where they report themselves.
    answers(web, "health/", lambda body: body["workers"]["active_workers"] == workers)
    wait_for_a_new_reading(web)
    with broadcasts() as by_one:
        eventually(lambda: web.request(HEALTH).json()["age_seconds"] < 0.5)
    wait_for_a_new_reading(web)
    with broadcasts() as by_twenty:
        responses = ask_at_once(web, 20)

    assert {response.status for response in responses} == {200}
    assert {tuple(response.json()["workers"]["active_workers"]) for response in responses} == {tuple(workers)}
    assert len(by_twenty) <= max(1, len(by_one)) * most_readings(responses)


@pytest.mark.parametrize("plain", [False, True])
def test_twenty_requests__broadcast_like_one_on_redis(
    redis_url: str, worker_factory: Start, web_server: Start, plain: bool
) -> None:
    workers = [worker_factory(redis_url, plain=plain) for _ in range(2)]
    web = web_server(redis_url, threads=20)

    check_twenty_at_once(
        web, partial(broadcasts_on_redis, redis_url), sorted(worker.hostname for worker in workers)
    )


@pytest.mark.rabbitmq
def test_twenty_requests__broadcast_like_one_on_rabbitmq(
    rabbit_url: str, worker_factory: Start, web_server: Start, make_app: Callable[..., Celery]
) -> None:
    worker: Worker = worker_factory(rabbit_url)
    web = web_server(rabbit_url, threads=20)

    check_twenty_at_once(web, partial(broadcasts_on_rabbitmq, make_app(rabbit_url)), [worker.hostname])


# Which app


def test_two_apps_on_one_broker__see_their_own_workers(
    broker_url: str, worker_factory: Start, web_server: Start
) -> None:
    ours = {"APP_ID": "ours"}
    theirs = {"APP_ID": "theirs"}
    our_worker = worker_factory(broker_url, health=ours)
    their_worker = worker_factory(broker_url, health=theirs)

    for settings, worker in ((ours, our_worker), (theirs, their_worker)):
        web = web_server(broker_url, health=settings)
        body = answers(web, "health/", lambda body: body["status"] == "healthy")
        assert body["workers"]["active_workers"] == [worker.hostname]
        web.close()

    their_worker.stop()
    web = web_server(broker_url, health={**theirs, **NO_GRACE})
    body = answers(web, "health/", lambda body: body["status"] == "unhealthy")
    assert body["workers"]["active_workers"] == []


ASK = """
import django, json
django.setup()
from django.test import Client
for path in ("health/", "ready/", "live/"):
    response = Client().get("/api/celery/" + path)
    print(json.dumps([path, response.status_code, response.json()]))
"""


def test_project_without_an_app__is_a_configuration_error() -> None:
    found = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.api.unconfigured"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    health, ready, live = [json.loads(line) for line in found.stdout.splitlines()]
    for path, status, body in (health, ready):
        assert (path, status, set(body)) == (path, 500, {"error"})
        assert "No Celery app is configured" in body["error"]
        assert "CELERY_APP" in body["error"]
    assert live == ["live/", 200, {"status": "alive"}]
    assert "Traceback" not in found.stderr
