"""Redis: every way kombu can be told to connect and to name things, and what only Redis can tell."""

from __future__ import annotations

import base64
import json
import re
import shutil
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.brokers import redis as redis_reader
from celery_health.brokers.base import PUBLISHED_AT_HEADER, Broker
from celery_health.deadline import Deadline
from tests.brokers.conftest import PASSWORD, queue, read
from tests.conftest import skip_loudly
from tests.support import Proxy, RedisServer, Sentinel, Worker, eventually, free_port

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]
Restricted = Callable[[str], tuple[Celery, RedisServer]]
Tls = tuple[RedisServer, int]


def kombus_count(app: Celery, name: str) -> int:
    with app.connection_for_read() as connection, connection.channel() as channel:
        return int(channel._size(name))


# How it is configured --------------------------------------------------------------------------------

# Transport options, and the priorities under which one message each is sent.
LAYOUTS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "default": ({}, [0, 3, 6, 9]),
    "priorities between the steps": ({}, [0, 1, 2, 4, 5, 7, 8]),
    "prefix": ({"global_keyprefix": "shop:"}, [0, 9]),
    "separator and three steps": ({"sep": ":", "priority_steps": [0, 4, 8]}, [0, 4, 4, 8, 9]),
    "ten steps": ({"priority_steps": list(range(10))}, list(range(10))),
    "prefix, separator, steps": (
        {"global_keyprefix": "{shop}.", "sep": "-", "priority_steps": [0, 5]},
        [0, 5, 6],
    ),
    "unacked under another key": ({"unacked_key": "held"}, [0]),
    "client name": ({"client_name": "shop"}, [0]),
    "unbounded and retrying": ({"socket_timeout": 60, "retry_on_timeout": True, "max_retries": 9}, [0]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_read__counts_as_kombu_does(layout: str, redis_url: str, make_app: MakeApp, reader: Reader) -> None:
    options, priorities = LAYOUTS[layout]
    app = make_app(redis_url, broker_transport_options=options)
    for priority in priorities:
        app.send_task("some.task", queue="q", priority=priority)
    app.send_task("some.task", queue="other")
    broker = reader(app)
    found = read(broker, "q", "other").queues
    assert found["q"].ready == len(priorities) == kombus_count(app, "q")
    assert found["other"].ready == 1
    with app.connection_for_read() as connection, connection.channel() as channel:
        for held in (1, 2):
            channel.basic_get("other")
            assert read(broker, "other").queues["other"].unacked == min(held, 1)
        # Closing the channel gives it back.
    assert eventually(lambda: queue(broker, "other").unacked == 0)


def test_read__password(own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader) -> None:
    app = make_app(own_redis(password=PASSWORD).url)
    app.send_task("some.task", queue="q")
    assert queue(reader(app), "q").ready == 1


def test_read__unix_socket(
    redis_server: RedisServer, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    app = make_app(f"redis+socket://{redis_server.unix_socket}?virtual_host=3")
    app.send_task("some.task", queue="q")
    assert queue(reader(app), "q").ready == 1
    assert queue(reader(make_app(redis_url)), "q").ready == 0  # another database


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        skip_loudly("openssl is not installed.")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}".split(),
        check=True,
        capture_output=True,
    )
    return key, cert


@pytest.fixture
def tls_redis(certificate: tuple[Path, Path], own_redis: Callable[..., RedisServer]) -> Tls:
    key, cert = certificate
    port = free_port()
    arguments = f"--tls-port {port} --tls-cert-file {cert} --tls-key-file {key} --tls-ca-cert-file {cert}"
    try:
        server = own_redis(args=[*arguments.split(), "--tls-auth-clients", "no"], password=PASSWORD)
    except RuntimeError as error:
        skip_loudly(f"this redis-server has no TLS: {error}")
    return server, port


def test_read__tls(tls_redis: Tls, certificate: tuple[Path, Path], make_app: MakeApp, reader: Reader) -> None:
    server, port = tls_redis
    app = make_app(
        server.url.replace("redis://", "rediss://").replace(str(server.port), str(port)),
        broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(certificate[1])},
    )
    app.send_task("some.task", queue="q")
    broker = reader(app)
    assert queue(broker, "q").ready == 1
    server.restart()
    assert queue(broker, "q").ready == 0


def test_read__tls_that_is_not_trusted(tls_redis: Tls, make_app: MakeApp, reader: Reader) -> None:
    server, port = tls_redis
    app = make_app(
        server.url.replace("redis://", "rediss://").replace(str(server.port), str(port)),
        broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
    )
    reading = reader(app).read(["q"], Deadline.after(2))
    assert reading.reachable is False
    assert "certificate verify failed" in str(reading.error)


def test_read__tls_hangs_in_its_handshake(
    tls_redis: Tls, proxy: Callable[[int], Proxy], make_app: MakeApp, reader: Reader
) -> None:
    between = proxy(tls_redis[1])
    between.black_hole()
    app = make_app(
        between.url(tls_redis[0].url.replace("redis://", "rediss://")),
        broker_use_ssl={"ssl_cert_reqs": ssl.CERT_NONE},
    )
    started = time.monotonic()
    assert reader(app).read(["q"], Deadline.after(0.5)).reachable is False
    assert time.monotonic() - started < 0.8


def test_read__sentinel(own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader) -> None:
    master = own_redis(password=PASSWORD)
    with Sentinel(master) as sentinel:
        # The first sentinel is down: the others are asked, within the same deadline.
        app = make_app(
            f"sentinel://:{PASSWORD.replace('/', '%2F')}@127.0.0.1:1/0;{sentinel.url}",
            broker_transport_options={"master_name": sentinel.master_name},
        )
        with redis.Redis(unix_socket_path=str(master.unix_socket), password=PASSWORD) as client:
            client.lpush("q", "{}")
        broker = reader(app)
        assert queue(broker, "q").ready == 1
        assert PASSWORD not in broker.url
        assert f"127.0.0.1:{sentinel.port}" in broker.url


def test_read__sentinel_that_hangs(
    own_redis: Callable[..., RedisServer], proxy: Callable[[int], Proxy], make_app: MakeApp, reader: Reader
) -> None:
    with Sentinel(own_redis()) as sentinel:
        between = proxy(sentinel.port)
        between.black_hole()
        urls = [f"sentinel://127.0.0.1:{between.port}/0", sentinel.url]
        options = {"master_name": sentinel.master_name, "sentinel_kwargs": {"socket_timeout": 60}}
        started = time.monotonic()
        reading = reader(make_app(";".join(urls), broker_transport_options=options)).read(
            ["q"], Deadline.after(2)
        )
        assert reading.reachable is True, reading.error
        assert time.monotonic() - started < 2
        started = time.monotonic()
        alone = reader(make_app(urls[0], broker_transport_options=options))
        assert alone.read(["q"], Deadline.after(0.5)).reachable is False
        assert time.monotonic() - started < 0.8


def test_read__failover_urls(
    redis_url: str, own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader
) -> None:
    second = own_redis(password=PASSWORD)
    app = make_app([f"redis://u:{PASSWORD.replace('/', '%2F')}@127.0.0.1:1/0", second.url])
    broker = reader(app)
    assert queue(broker, "q").ready == 0
    assert PASSWORD not in broker.url
    assert broker.url.count("**@127.0.0.1") == 2
    second.kill()
    assert broker.read(["q"], Deadline.after(1)).reachable is False
    second.start()
    assert queue(broker, "q").ready == 0


# What users may --------------------------------------------------------------------------------------


@pytest.fixture
def restricted(own_redis: Callable[..., RedisServer], make_app: MakeApp) -> Restricted:
    """Make an app whose user has these rights and no others, with one task in each of two queues."""

    def make(rights: str) -> tuple[Celery, RedisServer]:
        server = own_redis(acl=[f"shop on >{PASSWORD} {rights}"])
        admin = make_app(server.url)
        for name in ("mine", "theirs"):
            admin.send_task("some.task", queue=name)
        return make_app(server.url_for(user="shop", password=PASSWORD)), server

    return make


def test_read__acl_user_with_all_rights(restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted("~* &* +@all")
    assert queue(reader(app), "mine").ready == 1


def test_read__acl_denies_scripts(restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted("~* &* +@all -@scripting")
    reading = read(reader(app), "mine", "empty")
    assert {name: found.ready for name, found in reading.queues.items()} == {"mine": 1, "empty": 0}
    assert reading.server_time == pytest.approx(time.time(), abs=60)
    # No number is better than one that cost a whole message.
    assert reading.queues["mine"].oldest_message_id is None
    assert reading.queues["mine"].unacked is None


@pytest.mark.parametrize("rights", ["~mine* ~unacked &* +@all", "~mine* ~unacked &* +@all -@scripting"])
def test_read__acl_denies_one_queue(rights: str, restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted(rights)
    found = read(reader(app), "mine", "theirs").queues
    assert found["mine"].ready == 1
    assert found["theirs"].ready is None
    # Redis 7 says so in other words inside scripts.
    assert re.search("permission|can't access", str(found["theirs"].error))


def test_read__acl_denies_the_clock_and_unacked(restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted("~* &* +@all -time -hlen")
    reading = read(reader(app), "mine")
    assert reading.server_time is None
    assert reading.queues["mine"].ready == 1
    assert reading.queues["mine"].unacked is None


def test_read__scripts_are_renamed_away(
    own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis(args=["--rename-command", "EVALSHA", "", "--rename-command", "EVAL", ""])
    app = make_app(server.url)
    app.send_task("some.task", queue="q")
    assert queue(reader(app), "q").ready == 1


# What the server is in -------------------------------------------------------------------------------


def test_read__wrong_type_spoils_one_queue_only(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    redis_client.set("text", "not a list")
    redis_client.set("later\x06\x166", "its third step is no list")
    app = make_app(redis_url)
    app.send_task("some.task", queue="good")
    found = read(reader(app), "text", "later", "good").queues
    assert found["good"].ready == 1
    for name in ("text", "later"):
        assert found[name].ready is None
        assert "WRONGTYPE" in str(found[name].error)


def test_read__goes_on_when_memory_is_full(
    own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis()
    app = make_app(server.url)
    app.send_task("some.task", queue="q")
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", "100kb")
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            client.set("k", "v")
    assert queue(reader(app), "q").ready == 1


def test_read__goes_on_when_scripts_were_flushed(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    app = make_app(redis_url)
    app.send_task("some.task", queue="q")
    broker = reader(app)
    assert queue(broker, "q").ready == 1
    redis_client.script_flush()
    assert queue(broker, "q").ready == 1


def test_read__of_a_replica(own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader) -> None:
    master = own_redis()
    replica = own_redis(args=["--replicaof", "127.0.0.1", str(master.port)])
    make_app(master.url).send_task("some.task", queue="q")
    broker = reader(make_app(replica.url))
    assert eventually(lambda: broker.read(["q"], Deadline.after(2)).queues["q"].ready == 1)


def test_read__is_one_command_however_many_queues(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    app = make_app(redis_url)
    for number in range(3):
        app.send_task("some.task", queue=f"q{number}")
    broker = reader(app)
    queue(broker, "q0")
    redis_client.config_resetstat()
    read(broker, *(f"q{number}" for number in range(500)))
    outside = {"cmdstat_llen", "cmdstat_lindex", "cmdstat_hlen", "cmdstat_time"}  # called by the script
    stats = redis_client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert stats["cmdstat_llen"]["calls"] == 2000
    assert stats["cmdstat_lindex"]["calls"] == 3
    assert set(stats) - outside <= {"cmdstat_evalsha", "cmdstat_info", "cmdstat_config|resetstat"}


def test_read__leaves_no_key(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    read(broker, "q", "other")
    broker.roster(Deadline.after(5))
    broker.ping(Deadline.after(5))
    broker.close()
    assert redis_client.keys() == []


def test_read__tells_the_servers_clock(redis_url: str, make_app: MakeApp, reader: Reader) -> None:
    assert read(reader(make_app(redis_url))).server_time == pytest.approx(time.time(), abs=5)


# Age -------------------------------------------------------------------------------------------------


def publish(
    app: Celery, name: str, published_at: float | None, *, priority: int = 0, eta: str | None = None
) -> str:
    """Publish as Celery does, under a stamp of our choice; return the task's id."""
    task_id = uuid.uuid4().hex
    headers = {"lang": "py", "task": "some.task", "id": task_id, "eta": eta}
    if published_at is not None:
        headers[PUBLISHED_AT_HEADER] = published_at
    with app.connection_for_write() as connection:
        connection.Producer().publish([[], {}, {}], routing_key=name, headers=headers, priority=priority)
    return task_id


@pytest.fixture
def app_with_q(redis_url: str, make_app: MakeApp) -> Celery:
    """An app on Redis where the queue ``q`` is declared."""
    app = make_app(redis_url)
    with app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_declare("q")
    return app


def test_read__age_of_the_message_that_is_next_out(app_with_q: Celery, reader: Reader) -> None:
    first = publish(app_with_q, "q", 1000.25)
    publish(app_with_q, "q", 2000)
    found = queue(reader(app_with_q), "q")
    assert found.ready == 2
    assert found.oldest_published_at == 1000.25
    assert found.oldest_message_id == first
    assert not found.oldest_has_eta


ETA = "2026-01-28T10:30:00+00:00"


@pytest.mark.parametrize(
    ("sent", "oldest", "has_eta"),
    [
        # (priority, stamp, ETA) in order of sending → index of the oldest
        ([(0, 2000.0, None), (9, 1000.0, None)], 1, False),  # the low priority waits longer
        ([(0, 1000.0, None), (9, 2000.0, None)], 0, False),  # the high one does
        ([(0, 1000.0, ETA), (3, 2000.0, None)], 1, False),  # an ETA says nothing of waiting
        ([(0, 1000.0, ETA)], 0, True),  # nothing but ETA tasks
        ([(0, None, None), (6, 2000.0, None)], 1, False),  # only one of them is stamped
        ([(0, None, None), (6, None, None)], 1, False),  # none is: the one served last waits longest
    ],
)
def test_read__age_over_priority_steps(
    sent: list[tuple[int, float | None, str | None]],
    oldest: int,
    has_eta: bool,
    app_with_q: Celery,
    reader: Reader,
) -> None:
    ids = [publish(app_with_q, "q", at, priority=priority, eta=eta) for priority, at, eta in sent]
    found = queue(reader(app_with_q), "q")
    assert found.ready == len(sent)
    assert found.oldest_message_id == ids[oldest]
    assert found.oldest_published_at == sent[oldest][1]
    assert found.oldest_has_eta is has_eta


# Messages as lists hold them: other producers, other protocols, garbage.
HEADERS = {"lang": "py", "task": "t", "id": "the-id", "eta": None, PUBLISHED_AT_HEADER: 1000.5}
PROPERTIES = {"correlation_id": "the-id", "delivery_info": {"exchange": "", "routing_key": "q"}}


def envelope(body: str = "W10=", headers: dict[str, Any] | None = None, **dumps: Any) -> str:
    message = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": HEADERS if headers is None else headers,
        "properties": PROPERTIES,
    }
    return json.dumps(message, **dumps)


@pytest.mark.parametrize(
    ("message", "task_id", "published_at"),
    [
        (envelope(), "the-id", 1000.5),
        # Another producer's JSON.
        (envelope(separators=(",", ":")), "the-id", 1000.5),
        (envelope(indent=2), "the-id", 1000.5),
        # A body that is not base64 and speaks of headers itself.
        (envelope(json.dumps({"headers": {"id": "x", PUBLISHED_AT_HEADER: 1}})), "the-id", 1000.5),
        # Arguments that do.
        (
            envelope(headers=HEADERS | {"argsrepr": f'"headers": {{"id": "x", "{PUBLISHED_AT_HEADER}": 1}}'}),
            "the-id",
            1000.5,
        ),
        # A stamp that went through a text field; one that is none.
        (envelope(headers={"id": "i", PUBLISHED_AT_HEADER: "12.5"}), "i", 12.5),
        (envelope(headers={"id": "i", PUBLISHED_AT_HEADER: "soon"}), "i", None),
        (envelope(headers={"id": "i", PUBLISHED_AT_HEADER: 1.5e9}), "i", 1.5e9),
        # Task protocol 1: the id is in the body.
        (envelope(headers={}), None, None),
        # Not kombu's.
        ("not json", None, None),
        ("", None, None),
        ('{"headers"', None, None),
        ('{"headers": null, "id": 7}', None, None),
    ],
)
def test_read__heads_of_any_form(
    message: str,
    task_id: str | None,
    published_at: float | None,
    redis_client: redis.Redis,
    redis_url: str,
    make_app: MakeApp,
    reader: Reader,
) -> None:
    redis_client.lpush("q", message)
    found = queue(reader(make_app(redis_url)), "q")
    assert found.ready == 1
    assert found.oldest_message_id == task_id
    assert found.oldest_published_at == published_at


def test_read__bytes_that_are_no_text(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    redis_client.lpush("q", b'{"headers": {"id": "\xff\xfe", "x": 1}}')
    redis_client.hset("unacked", "tag", b"\xff\xfe")
    found = queue(reader(make_app(redis_url)), "q")
    assert (found.ready, found.unacked) == (1, 0)


def test_read__big_messages_are_looked_at_seldom(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    body = base64.b64encode(b"x" * 1_000_000).decode()
    redis_client.lpush("big", envelope(body))
    redis_client.lpush("small", envelope())
    broker = reader(make_app(redis_url))
    redis_client.config_resetstat()
    for _ in range(5):
        found = read(broker, "small", "big").queues
        assert found["big"].ready == found["small"].ready == 1
        assert found["big"].oldest_published_at == found["small"].oldest_published_at == 1000.5
        assert found["big"].oldest_message_id == "the-id"
    # Once for the big one, and each time for the small one.
    assert redis_client.info("commandstats")["cmdstat_lindex"]["calls"] == 1 + 5
    redis_client.delete("big")
    gone = queue(broker, "big")
    assert (gone.ready, gone.oldest_message_id) == (0, None)


def test_read__big_messages_are_looked_at_again(
    redis_client: redis.Redis,
    redis_url: str,
    make_app: MakeApp,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_reader, "BIG_MESSAGE_PAUSE_SECONDS", 0.1)
    redis_client.lpush("big", envelope("x" * 200_000))
    broker = reader(make_app(redis_url))
    assert queue(broker, "big").oldest_message_id == "the-id"
    redis_client.lset("big", 0, envelope("x" * 200_000, {"id": "next"}))
    assert eventually(lambda: queue(broker, "big").oldest_message_id == "next")


# Unacknowledged --------------------------------------------------------------------------------------


def hold(client: redis.Redis, tag: str, exchange: str, routing_key: str, body: str = "W10=") -> None:
    """Put an entry as kombu does (`kombu/transport/redis.py`, QoS.append)."""
    client.hset("unacked", tag, json.dumps([json.loads(envelope(body)), exchange, routing_key]))


def test_read__unacked_by_queue(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    for exchange, key, queue_name in [
        ("direct", "rk", "bound"),
        ("topic", "order.*", "orders"),
        ("topic", "mail.#", "mails"),
        ("twice", "both", "left"),
        ("twice", "both", "right"),
    ]:
        redis_client.sadd(f"_kombu.binding.{exchange}", "\x06\x16".join((key, "", queue_name)))
    hold(redis_client, "1", "", "plain")
    hold(redis_client, "2", "", "plain", body='"], "", "fake"]')
    hold(redis_client, "3", "direct", "rk")
    hold(redis_client, "4", "topic", "order.created")
    hold(redis_client, "5", "topic", "mail.out.now")
    hold(redis_client, "6", "twice", "both")
    hold(redis_client, "7", "direct", 'odd "key" \\')
    redis_client.hset("unacked", "8", "not json")
    broker = reader(make_app(redis_url))
    found = read(broker, "plain", "bound", "orders", "mails", "left", "right", "none").queues
    assert {name: one.unacked for name, one in found.items()} == {
        "plain": 2,
        "bound": 1,
        "orders": 1,
        "mails": 1,
        # It came from one of these two: no number is right for either.
        "left": None,
        "right": None,
        "none": 0,
    }


def test_read__too_many_unacked_are_unknown(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    entry = json.dumps([json.loads(envelope()), "", "q"])
    redis_client.hset("unacked", mapping={str(number): entry for number in range(1000)})
    assert queue(broker, "q").unacked == 1000
    redis_client.hset("unacked", "one more", entry)
    assert queue(broker, "q").unacked is None


def test_read__large_unacked_messages_are_not_read(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    hold(redis_client, "1", "", "q", body="x" * 3_000_000)
    assert queue(broker, "q").unacked == 1
    hold(redis_client, "2", "", "q", body="x" * 3_000_000)
    assert queue(broker, "q").unacked is None


def test_read__unacked_of_a_real_worker(
    redis_url: str, make_app: MakeApp, reader: Reader, worker_factory: Callable[..., Worker], tmp_path: Path
) -> None:
    app = make_app(redis_url)
    broker = reader(app)
    worker_factory(
        redis_url, queues=["q"], conf={"task_acks_late": True, "worker_prefetch_multiplier": 1}, plain=True
    )
    for _ in range(3):
        app.send_task("tests.project.tasks.wait_for_file", args=[str(tmp_path / "go")], queue="q")

    def counts() -> tuple[int | None, int | None]:
        found = queue(broker, "q")
        return found.ready, found.unacked

    assert eventually(lambda: counts() == (2, 1), what="one runs, two wait")
    (tmp_path / "go").touch()
    assert eventually(lambda: counts() == (0, 0), what="all are done")


# Roster ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"broker_transport_options": {"global_keyprefix": "shop:", "sep": ":"}, "control_exchange": "shop"},
    ],
)
def test_roster__names_workers_until_they_say_goodbye(
    conf: dict[str, Any],
    redis_url: str,
    make_app: MakeApp,
    reader: Reader,
    worker_factory: Callable[..., Worker],
) -> None:
    broker = reader(make_app(redis_url, **conf))
    assert broker.roster(Deadline.after(5)) == ()
    one, two = (
        worker_factory(redis_url, name=name, pool="solo", conf=conf, plain=True, wait=False)
        for name in ("one@a.example", "two@b")
    )
    assert eventually(lambda: broker.roster(Deadline.after(5)) == ("one@a.example", "two@b"), timeout=30)
    one.wait_ready()
    two.wait_ready()
    two.kill()
    assert broker.roster(Deadline.after(5)) == ("one@a.example", "two@b")
    assert one.stop() == 0
    assert broker.roster(Deadline.after(5)) == ("two@b",)


def test_roster__is_not_spoilt_by_what_else_is_bound(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    for member in (
        "\x06\x16\x06\x16w@h.celery.pidbox",
        "\x06\x16\x06\x16w@h.other.pidbox",
        "odd",
        b"\xff",
        "",
    ):
        redis_client.sadd("_kombu.binding.celery.pidbox", member)
    assert reader(make_app(redis_url)).roster(Deadline.after(5)) == ("w@h",)
