"""The marks that a worker leaves on its broker: its connections' name on Redis, its mailbox on RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.transport.redis import Channel

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.store import open_store
from celery_health.worker import presence
from celery_health.worker.presence import Presence
from tests.support import Proxy, RedisServer, Worker
from tests.worker.conftest import APP_ID, patiently

FAST = {"HEARTBEAT_INTERVAL": 1, "FLUSH_INTERVAL": 0.2}
Start = Callable[..., Worker]


@pytest.fixture
def record(make_app: Callable[..., Celery]) -> Iterator[Callable[[str, Worker], dict[str, Any]]]:
    """Read a worker's record from the Redis at a URL; empty before there is one."""
    stores = []

    def read(url: str, worker: Worker) -> dict[str, Any]:
        if not stores:
            stores.append(open_store(make_app(url), Settings(app_id=APP_ID)))
        assert stores[0] is not None
        rows = stores[0].read(Deadline.after(5)).workers
        return next((dict(row.record) for row in rows if row.name == worker.hostname), {})

    yield read
    for store in stores:
        if store is not None:
            store.close()


def marked(client: redis.Redis, name: str | None) -> list[str]:
    """Return the ids of the connections of this name, that for tasks first."""
    found = [row for row in client.client_list() if row["name"] == name]
    return [row["id"] for row in sorted(found, key=lambda row: row["cmd"])]


@pytest.mark.redis
def test_presence__names_its_connections_again_when_they_are_new(
    redis_url: str,
    redis_client: redis.Redis,
    worker_factory: Start,
    record: Any,
    make_app: Callable[..., Celery],
) -> None:
    # Redis and RabbitMQ take any host name; CLIENT SETNAME takes no spaces.
    worker = worker_factory(redis_url, name="zwei wörter@host", health=FAST)
    name = patiently(lambda: record(redis_url, worker).get("connection_name"))
    assert name.startswith("celery_health:zwei%20w%C3%B6rter@host:")

    # One waits for tasks, one listens for commands.
    for_tasks, for_commands = patiently(lambda: len(ids := marked(redis_client, name)) == 2 and ids)
    for killed in (for_tasks, for_commands):
        redis_client.client_kill_filter(_id=killed)
        patiently(lambda killed=killed: len(ids := marked(redis_client, name)) == 2 and killed not in ids)
    make_app(redis_url).send_task("tests.project.tasks.noop")
    patiently(lambda: record(redis_url, worker).get("processed") == 1)
    assert record(redis_url, worker)["connection_name"] == name

    worker.stop()
    assert marked(redis_client, name) == []


@pytest.mark.redis
@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_presence__is_named_after_mingle_which_leaves_a_read_under_way(
    pool: str,
    redis_url: str,
    redis_client: redis.Redis,
    worker_factory: Start,
    record: Any,
    make_app: Callable[..., Celery],
) -> None:
    worker = worker_factory(redis_url, pool=pool, gossip=True, health=FAST)
    name = patiently(lambda: record(redis_url, worker).get("connection_name"))
    for_tasks = marked(redis_client, name)[0]

    redis_client.client_kill_filter(_id=for_tasks)
    patiently(lambda: (ids := marked(redis_client, name)) and for_tasks not in ids)
    make_app(redis_url).send_task("tests.project.tasks.noop")
    patiently(lambda: record(redis_url, worker).get("processed") == 1)
    worker.stop()


@pytest.mark.redis
def test_presence__a_worker_that_may_not_name_itself_works_all_the_same(
    own_redis: Callable[..., RedisServer], worker_factory: Start, record: Any, make_app: Callable[..., Celery]
) -> None:
    server = own_redis(acl=["shop on >secret ~* &* +@all -client|setname"])
    url = server.url_for(user="shop", password="secret")
    worker = worker_factory(url, health=FAST)
    make_app(url).send_task("tests.project.tasks.noop")

    patiently(lambda: record(url, worker).get("processed") == 1)

    assert record(url, worker)["connection_name"] is None
    with redis.Redis.from_url(server.url) as admin:
        # Asked once, not for each connection, nor at each reconnect.
        admin.client_kill_filter(_type="normal")
        make_app(url).send_task("tests.project.tasks.noop")
        patiently(lambda: record(url, worker).get("processed") == 2)
        assert [(entry["object"], entry["count"]) for entry in admin.acl_log()] == [("client|setname", 1)]
    assert "setname" not in worker.log.lower()
    worker.stop()


@pytest.mark.redis
@pytest.mark.skipif(
    "client_name" not in Channel.from_transport_options, reason="kombu before 5.7 names no connection"
)
def test_presence__a_name_of_the_projects_own_stays(
    redis_url: str, redis_client: redis.Redis, worker_factory: Start, record: Any
) -> None:
    conf = {"broker_transport_options": {"client_name": "shop"}}
    worker = worker_factory(redis_url, health=FAST, conf=conf)

    assert patiently(lambda: record(redis_url, worker))["connection_name"] is None
    assert len(marked(redis_client, "shop")) >= 2
    worker.stop()


@pytest.mark.rabbitmq
def test_presence__names_the_mailbox_that_ends_with_it(
    rabbit_url: str, redis_url: str, worker_factory: Start, record: Any
) -> None:
    health = {**FAST, "STORE_URL": redis_url}
    usual = worker_factory(rabbit_url, health=health, wait=False)
    others = [
        worker_factory(rabbit_url, health=health, wait=False, **options)
        for options in (
            {"conf": {"worker_enable_remote_control": False}},
            # A process that is stopped for a few seconds would lose its mailbox.
            {"conf": {"broker_heartbeat": 10}},
            # Its mailbox has a connection of its own, which nobody keeps alive.
            {"pool": "gevent"},
        )
    ]

    def marks(worker: Worker) -> tuple[str | None, str | None]:
        found = patiently(lambda: (row := record(redis_url, worker)).get("ready") and row)
        return found["mailbox"], found["connection_name"]

    assert marks(usual) == (f"{usual.hostname}.celery.pidbox", None)
    assert [marks(worker) for worker in others] == [(None, None)] * len(others)
    for worker in (usual, *others):
        worker.stop()


@pytest.mark.redis
def test_presence__does_not_wait_for_a_server_that_answers_no_more(
    redis_server: RedisServer, proxy: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "MAX_WAIT_SECONDS", 0.2)
    between = proxy(redis_server.port)
    connection = redis.Connection(port=between.port)
    connection.connect()
    marks = Presence("w@host")
    between.black_hole()

    # As when redis-py's own handshake fails: kombu connects again.
    with pytest.raises(redis.TimeoutError):
        marks.name_brpop(connection)
    assert connection._sock is None
    assert marks.record() == {"connection_name": None, "mailbox": None}

    # And then it is not tried once more: the worker must come up.
    between.forward()
    connection.register_connect_callback(marks.name_brpop)
    connection.connect()
    connection.send_command("CLIENT", "GETNAME")
    assert not connection.read_response()
    connection.disconnect()


@pytest.mark.redis
def test_presence__a_connection_may_break_once_while_it_is_named(
    redis_server: RedisServer, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(redis_server.port)
    connection = redis.Connection(port=between.port)
    marks = Presence("w@host")
    named = []
    # Broken once, well, and then broken over it each time, as something before the server may do.
    for breaks in (True, False, True, True, False):
        connection.connect()
        if breaks:
            between.cut()
            with pytest.raises(redis.ConnectionError):
                marks.name_brpop(connection)
        else:
            marks.name_brpop(connection)
        named.append(marks.record()["connection_name"] is not None)
        connection.disconnect()

    assert named == [False, True, False, False, False]


@pytest.mark.redis
def test_presence__leaves_the_sockets_own_timeout(redis_server: RedisServer) -> None:
    for timeout in (None, 3.0):
        connection = redis.Connection(port=redis_server.port, socket_timeout=timeout)
        connection.connect()
        marks = Presence("w@host")
        marks.name_brpop(connection)
        assert connection._sock.gettimeout() == timeout
        assert marks.record()["connection_name"] == marks._name
        connection.disconnect()


def test_presence__two_processes_of_one_name_differ() -> None:
    names = {Presence(name)._name for name in ("w@host", "w@host", "w" * 500, "ü ü")}
    assert len(names) == 4
    assert all(name.isascii() and name.isprintable() and " " not in name for name in names)
    assert max(map(len, names)) < 200
