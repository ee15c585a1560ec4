"""Results that cannot be stored, and publications that are refused: who tells, and who has nothing to say."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator

from redis import Redis

from tests.situations.system import System
from tests.situations.table import situation, stay
from tests.support import RedisServer, eventually


def _backend(system: System) -> RedisServer:
    """Keep results in a Redis of their own."""
    server = RedisServer().start()
    system.stack.callback(server.stop)
    system.conf["result_backend"] = server.url
    return server


@situation("degraded", "results.reachable", "warn")
def results_redis_stopped(system: System) -> Iterator[None]:
    """The Redis of the results is down: each delay() and each end of a task waits for it."""
    server = _backend(system)
    system.worker()
    system.healthy()
    server.stop()
    yield
    server.start()
    yield


@situation("degraded", "results.reachable", "warn", marks=("soak",))
def results_redis_full(system: System) -> Iterator[None]:
    """It answers, and takes no results."""
    server = _backend(system)
    system.worker()
    system.healthy()
    with Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)
    yield


@situation("degraded", "results.reachable", "warn")
def results_of_workers_not_stored(system: System) -> Iterator[None]:
    """Nobody can ask this backend: the worker's main process hears what its children could not store."""
    folder = tempfile.mkdtemp(prefix="celery-health-results-")
    system.stack.callback(shutil.rmtree, folder, True)
    system.conf["result_backend"] = f"file://{folder}"
    system.worker()
    system.send("add")
    system.healthy()
    shutil.rmtree(folder)
    system.send("add", count=2)
    yield


@situation("healthy", marks=("soak",))
def results_ignored(system: System) -> Iterator[None]:
    """Nobody keeps results, so that their Redis may be down."""
    server = _backend(system)
    system.conf["task_ignore_result"] = True
    system.worker()
    system.healthy()
    server.stop()
    yield from stay(system, 5)


@situation("healthy", marks=("soak",))
def results_by_rpc(system: System) -> Iterator[None]:
    """They go back over the broker."""
    system.conf["result_backend"] = "rpc://"
    system.worker()
    system.healthy()
    system.send("add")
    yield from stay(system, 5)


@situation("degraded", "broker.writable", "warn", marks=("soak",))
def publications_refused_for_a_while(system: System) -> Iterator[None]:
    """The broker was full when somebody sent, and has room again: what was not sent is still told."""
    store = RedisServer().start()
    system.stack.callback(store.stop)
    system.health["STORE_URL"] = store.url
    system.worker()
    system.healthy()
    with Redis.from_url(system.url) as client:
        client.config_set("maxmemory", 1)
        try:
            system.send_from_a_process("add", retry=False)
        except Exception as error:  # it raises there, as without celery_health
            assert "returned non-zero exit status 1" in str(error), error
        finally:
            client.config_set("maxmemory", 0)
    with Redis.from_url(store.url) as client:
        [told] = eventually(lambda: client.hvals("celery_health:tests.project:troubles"), 10)
    assert "maxmemory" in json.loads(told.split(b" ", 3)[3])["refused"]["error"]
    yield
