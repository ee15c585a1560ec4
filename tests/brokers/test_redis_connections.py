"""Redis: every way kombu can be told to connect and to name things."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.brokers.base import Broker
from celery_health.deadline import Deadline
from tests.brokers.conftest import PASSWORD, queue, read
from tests.conftest import skip_loudly
from tests.support import Proxy, RedisServer, Sentinel, eventually, free_port

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]
Restricted = Callable[[str], tuple[Celery, RedisServer]]
Tls = tuple[RedisServer, int]


def kombus_count(app: Celery, name: str) -> int:
    with app.connection_for_read() as connection, connection.channel() as channel:
        return int(channel._size(name))


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
    assert reader(app).read(["q"], Deadline.after(0.6)).reachable is False
    assert time.monotonic() - started < 1.1


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
        assert alone.read(["q"], Deadline.after(0.6)).reachable is False
        assert time.monotonic() - started < 1.1


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
