"""Readers over real brokers, closed at the end; and one broker of each kind that may be broken."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from celery import Celery

from celery_health.brokers import open_broker
from celery_health.brokers.base import Broker, BrokerReading, QueueReading
from celery_health.deadline import Deadline
from tests.conftest import skip_loudly
from tests.support import Proxy, RabbitServer, RedisServer

#: Looked for in everything that is said.
SECRET = "s3cret-pass%2Fword"
PASSWORD = "s3cret-pass/word"


@pytest.fixture
def reader() -> Iterator[Callable[..., Broker]]:
    """Open readers: ``reader(app)``."""
    brokers: list[Broker] = []

    def start(app: Celery, deadline_seconds: float = 5.0) -> Broker:
        brokers.append(open_broker(app, deadline_seconds))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.close()


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


@dataclass
class Target:
    """A broker that may be broken, behind a proxy."""

    url: str
    """Through the proxy; the password is `PASSWORD`."""
    proxy: Proxy
    pause: Callable[[], None]
    resume: Callable[[], None]
    restart: Callable[[], object]
    """End every connection, or the whole server, and come back."""


@pytest.fixture
def redis_target(own_redis: Callable[..., RedisServer], proxy: Callable[[int], Proxy]) -> Iterator[Target]:
    server = own_redis(password=PASSWORD)
    between = proxy(server.port)
    yield Target(
        url=between.url(server.url),
        proxy=between,
        pause=server.pause,
        resume=server.resume,
        restart=server.restart,
    )
    server.resume()


@pytest.fixture
def rabbit_target(rabbit: RabbitServer, rabbit_vhost: str, proxy: Callable[[int], Proxy]) -> Iterator[Target]:
    rabbit.add_user("shop", PASSWORD)
    rabbit.allow("shop", rabbit_vhost)
    between = proxy(rabbit.port)
    yield Target(
        url=between.url(rabbit.url(rabbit_vhost, "shop", PASSWORD)),
        proxy=between,
        pause=rabbit.pause,
        resume=rabbit.resume,
        restart=rabbit.close_connections,
    )
    rabbit.resume()


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ]
)
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.getfixturevalue("redis_target" if request.param == "redis" else "rabbit_target")
    return found


def read(broker: Broker, *queues: str, seconds: float = 5.0) -> BrokerReading:
    """Read, and require an answer."""
    reading = broker.read(queues, Deadline.after(seconds))
    assert reading.reachable, reading.error
    assert reading.error is None
    return reading


def queue(broker: Broker, name: str) -> QueueReading:
    """Read one queue, and require an answer."""
    return read(broker, name).queues[name]
