"""Broadcasts with real workers: what reaches nobody is said, and what is printed brings it to all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.doctor.shop import Shop
from tests.support import Worker, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = """
from kombu import Exchange, Queue
from kombu.common import Broadcast
CELERY_TASK_QUEUES = [Queue("celery"), Broadcast("reload")]
CELERY_TASK_ROUTES = {"plain.reload": {"queue": "reload"}}
CELERY_TASK_DEFAULT_PRIORITY = None
CELERY_BEAT_SCHEDULE = {}
CELERY_IMPORTS = ["plain"]
CELERY_HEALTH |= {"DEADLINE": 10}
"""
PLAIN = """
import os
from celery import shared_task

@shared_task(name="plain.reload", bind=True)
def reload(self):
    with open(os.environ["RAN"], "a") as file:
        file.write(f"{self.request.hostname}\\n")
"""
SEND = "from plain import reload; reload.delay()"


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """Who ran the task, a line each."""
    file = tmp_path / "ran"
    file.touch()
    return file


def start(shop: Shop, ran: Path, settings: str = SETTINGS) -> list[Worker]:
    """Start two workers of the variant, which take part in the broadcast."""
    shop.more_env["RAN"] = str(ran)
    shop.change(settings, plain=PLAIN)
    return [shop.worker(), shop.worker()]


READ = """
import json
from celery_health.reading import get_snapshot
snapshot = get_snapshot()
print(json.dumps({one.name: [one.ready, one.consumers] for one in snapshot.queues}))
"""


def queues(shop: Shop) -> dict[str, list[int | None]]:
    """Return queue → what is ready, and how many consume it."""
    found: dict[str, list[int | None]] = json.loads(
        in_project(shop, "-c", f"import django\ndjango.setup(){READ}")
    )
    return found


def in_project(shop: Shop, *argv: str) -> str:
    """Run Python in a process of the project, and return what it prints."""
    env = {**os.environ, **shop.env}
    done = subprocess.run(
        [sys.executable, *argv], env=env, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


@pytest.mark.redis
def test_broadcast__reaches_nobody_on_redis_until_the_fix_is_pasted(
    make_shop: Callable[[str], Shop], redis_url: str, redis_client: redis.Redis, ran: Path
) -> None:
    shop = make_shop(redis_url)
    workers = start(shop, ran)
    shop.run(f"{SEND}; reload.delay(); reload.delay()")

    def lost() -> str:
        finding = shop.doctor().finding("E129")
        assert finding["evidence"]["messages"] == 6, finding  # 3 in the list of each worker
        return str(finding["fix"])

    fix = eventually(lost, 30, interval=0.2)
    assert ran.read_text() == ""
    assert queues(shop) == {"celery": [0, 2], "reload": [6, 2]}
    said = shop.manage("celery_health").stdout
    assert "DEGRADED" in said, said
    assert "6 messages for broadcast 'reload' lie in lists that no worker reads" in said, said

    workers[0].kill()
    workers[1].stop()  # takes its list with it
    line = re.match(r"CELERY_TASK_ROUTES \|= .+\]\}\}", fix)
    assert line, fix
    workers = start(shop, ran, f"{SETTINGS}\n{line[0]}\n")
    shop.run(SEND)
    eventually(lambda: _is(sorted(ran.read_text().split()), sorted(w.hostname for w in workers)), 20)

    def left() -> str:
        answer = shop.doctor()
        assert [one for one in answer.found if "reload" in one] == ["W225:queue:reload"], answer.found
        return str(answer.finding("W225")["fix"])

    purge = eventually(left, 30, interval=0.2)
    names = re.search(r"purge -Q (\S+)", purge)
    assert names, purge
    lists = names[1].split(",")
    assert len(lists) == 1
    in_project(shop, "-m", "celery", "-A", "shop", "purge", "-f", "-Q", names[1])
    assert redis_client.exists(*lists) == 0


@pytest.mark.rabbitmq
def test_broadcast__reaches_all_on_rabbitmq(
    make_shop: Callable[[str], Shop], rabbit_url: str, redis_url: str, ran: Path
) -> None:
    shop = make_shop(rabbit_url)
    store = f'CELERY_HEALTH |= {{"STORE_URL": "{redis_url}"}}\n'
    workers = start(shop, ran, SETTINGS + store)

    shop.run(SEND)

    eventually(lambda: _is(sorted(ran.read_text().split()), sorted(w.hostname for w in workers)), 20)
    eventually(lambda: _is(queues(shop), {"celery": [0, 2], "reload": [0, 2]}), 20)
    assert [one for one in shop.doctor().found if "reload" in one or "W208" in one] == []


def _is(found: object, wanted: object) -> bool:
    assert found == wanted, found
    return True
