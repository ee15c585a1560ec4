"""The publish stamp and the count of what is sent: in scripts, forked servers, pool children, eager runs."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.counters import decode
from celery_health.deadline import Deadline
from celery_health.headers import PUBLISHED_AT_HEADER
from celery_health.producers import connect
from celery_health.store import open_store
from tests.support import ROOT, Worker, eventually, project_env, unanswered_port

NOOP = "tests.project.tasks.noop"


def sent(url: str, make_app: Callable[..., Celery]) -> dict[tuple[str, str], int]:
    """Return what the store holds of tasks sent: (name, queue) → how many."""
    store = open_store(make_app(url), Settings(app_id="tests.project"))
    assert store is not None
    totals = store.read(Deadline.after(5), totals=True).totals or {}
    store.close()
    cells = {decode(field): total for field, total in totals.items()}
    return {
        (cell.labels[0], cell.labels[1]): total
        for cell, total in cells.items()
        if cell is not None and cell.family.name == "sent"
    }


def run_script(url: str, code: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in the test project, as a management command or a server's process would."""
    setup = "import django; django.setup()\n"
    setup += "from tests.project.celery import app\nfrom tests.project import tasks\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", setup + textwrap.dedent(code)],
        env={"PATH": "/usr/bin:/bin", **project_env(url, **more)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def messages(client: redis.Redis, queue: str = "celery") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in client.lrange(queue, 0, -1)]


def test_stamp__is_on_every_message(redis_url: str, redis_client: redis.Redis) -> None:
    before = time.time()
    done = run_script(redis_url, "tasks.noop.delay(); tasks.noop.apply_async(countdown=60)")
    assert done.returncode == 0, done.stderr
    later, now = messages(redis_client)
    assert before <= now["headers"][PUBLISHED_AT_HEADER] <= time.time()
    # A task with an ETA says so itself; its stamp is when it was sent.
    assert later["headers"]["eta"] and before <= later["headers"][PUBLISHED_AT_HEADER] <= time.time()


def test_stamp__is_renewed_by_a_retry(
    redis_url: str, redis_client: redis.Redis, worker_factory: Callable[..., Worker]
) -> None:
    # Sent without a stamp, by a process that has no celery_health; its retry is sent by a pool's child.
    name = "tests.producers.sending.retry_elsewhere"
    first = run_script(redis_url, f"app.send_task({name!r})", plain=True)
    assert first.returncode == 0, first.stderr
    assert PUBLISHED_AT_HEADER not in messages(redis_client)[0]["headers"]
    before = time.time()
    worker_factory(redis_url, conf={"include": ["tests.producers.sending"]})
    [retry] = eventually(lambda: messages(redis_client, "elsewhere"), 30)
    assert (retry["headers"]["task"], retry["headers"]["retries"]) == (name, 1)
    assert before <= retry["headers"][PUBLISHED_AT_HEADER] <= time.time()


def test_sent__is_flushed_when_a_script_ends(redis_url: str, make_app: Callable[..., Celery]) -> None:
    done = run_script(
        redis_url,
        """
        for _ in range(3):
            tasks.noop.delay()
        tasks.add.apply_async(queue="emails")
        tasks.add.apply_async(exchange="celery", routing_key="celery")
        app.send_task("tests.project.tasks.big", ("x",), exchange="nowhere", routing_key="to.nobody")
        """,
    )
    assert done.returncode == 0, done.stderr
    assert sent(redis_url, make_app) == {
        (NOOP, "celery"): 3,
        ("tests.project.tasks.add", "emails"): 1,
        ("tests.project.tasks.add", "celery"): 1,
        # An exchange that leads to no queue we know: never a routing key in a queue's place.
        ("tests.project.tasks.big", ""): 1,
    }


def test_sent__each_forked_process_counts_its_own(redis_url: str, make_app: Callable[..., Celery]) -> None:
    """As gunicorn with preload: the parent has loaded the project and sent before it forks."""
    done = run_script(
        redis_url,
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forking with threads
        tasks.noop.delay()
        children = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                tasks.noop.delay()
                tasks.noop.delay()
                sys.exit()
            children.append(pid)
        sys.exit(any(os.waitpid(pid, 0)[1] for pid in children))
        """,
    )
    assert done.returncode == 0, done.stderr
    assert sent(redis_url, make_app) == {(NOOP, "celery"): 7}


def test_sent__pool_children_count_nothing_and_connect_nowhere(
    redis_url: str,
    redis_client: redis.Redis,
    make_app: Callable[..., Celery],
    worker_factory: Callable[..., Worker],
) -> None:
    worker = worker_factory(redis_url, conf={"include": ["tests.producers.sending"]})
    make_app(redis_url).send_task("tests.producers.sending.send_two")
    eventually(lambda: redis_client.llen("elsewhere") == 2, 30)
    assert worker.stop() == 0
    # Both are stamped, none is counted.
    assert all(PUBLISHED_AT_HEADER in message["headers"] for message in messages(redis_client, "elsewhere"))
    assert sent(redis_url, make_app) == {}


@pytest.mark.smoke
def test_sent__tasks_in_the_worker_itself_are_counted_by_its_agent(
    redis_url: str,
    redis_client: redis.Redis,
    make_app: Callable[..., Celery],
    worker_factory: Callable[..., Worker],
) -> None:
    worker = worker_factory(redis_url, pool="threads", conf={"include": ["tests.producers.sending"]})
    make_app(redis_url).send_task("tests.producers.sending.send_two")
    eventually(lambda: redis_client.llen("elsewhere") == 2, 30)
    assert worker.stop() == 0
    assert sent(redis_url, make_app) == {(NOOP, "elsewhere"): 2}
    # One writer: no second agent for what the worker sends.
    assert len(redis_client.keys("celery_health:tests.project:seq:*")) == 1


def test_publish__is_neither_slowed_nor_failed_by_a_store_that_hangs(redis_url: str) -> None:
    with unanswered_port() as port:
        done = run_script(
            redis_url,
            """
            import time
            tasks.noop.delay()
            started = time.monotonic()
            for _ in range(200):
                tasks.noop.delay()
            print(time.monotonic() - started)
            """,
            health={"STORE_URL": f"redis://127.0.0.1:{port}/0"},
        )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 5
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("trouble", ["no store", "wrong settings"])
def test_publish__works_without_a_store(trouble: str, rabbit_url: str) -> None:
    health = {} if trouble == "no store" else {"FLUSH_INTERVAL": "often"}
    done = run_script(rabbit_url, "print(tasks.noop.delay().id)", health=health)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 36


def test_eager__is_neither_stamped_nor_counted(redis_url: str, make_app: Callable[..., Celery]) -> None:
    done = run_script(
        redis_url, "print(tasks.add.delay(2, 3).get(), tasks.add(1, 1))", conf={"task_always_eager": True}
    )
    assert done.stdout.split() == ["5", "2"], done.stderr
    assert sent(redis_url, make_app) == {}


def test_stamp__costs_a_header(
    redis_url: str, redis_client: redis.Redis, make_app: Callable[..., Celery]
) -> None:
    connect()
    connect()  # twice is once
    make_app(redis_url).send_task("any.name", ("argument",))
    [message] = messages(redis_client)
    assert isinstance(message["headers"][PUBLISHED_AT_HEADER], float)
    assert json.loads(base64.b64decode(message["body"]))[0] == ["argument"]
