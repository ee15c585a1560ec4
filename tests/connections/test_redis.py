"""The one link to a Redis: what it sends, which URL it takes, and what it does when the server says no."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import redis
from kombu import Connection
from redis.exceptions import ReadOnlyError, ResponseError

from celery_health.connections.redis import RedisLink
from celery_health.deadline import Deadline
from tests.support import Proxy, RedisServer, free_port, unanswered_port

MakeLink = Callable[..., RedisLink]


@pytest.fixture
def link() -> Iterator[MakeLink]:
    """Make links: ``link(url, ...)``."""
    links: list[RedisLink] = []

    def make(url: str, *, every_url: bool = False, **options: object) -> RedisLink:
        links.append(RedisLink(Connection(url, transport_options=options), every_url=every_url))
        return links[-1]

    yield make
    for one in links:
        one.close()


def connections(client: redis.Redis) -> set[str]:
    return {one["id"] for one in client.client_list()}


# One command and many ------------------------------------------------------------------------------------


def test_call_many__a_reply_each_and_the_error_where_the_server_said_no(
    link: MakeLink, redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set("text", "no list")
    redis_client.lpush("list", "a", "b")
    ours = link(redis_url)

    for _ in range(2):  # on a new connection and on an open one
        length, refused, again = ours.call_many(
            [("LLEN", "list"), ("LLEN", "text"), ("LLEN", "list")], deadline=Deadline.after(5)
        )
        assert (length, again) == (2, 2)
        assert isinstance(refused, ResponseError)
        assert "WRONGTYPE" in str(refused)


def test_call_many__is_one_round_trip(
    link: MakeLink, redis_server: RedisServer, redis_url: str, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(redis_server.port)
    ours = link(between.url(redis_url))
    ours.call("PING", deadline=Deadline.after(5))
    between.delay(0.2)
    started = time.monotonic()

    assert ours.call_many([("PING",)] * 50, deadline=Deadline.after(5)) == [b"PONG"] * 50
    assert time.monotonic() - started < 1


def test_call__a_refusal_is_raised_and_keeps_the_connection(
    link: MakeLink, redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set("text", "no list")
    ours = link(redis_url)
    ours.call("PING", deadline=Deadline.after(5))
    before = connections(redis_client)

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        ours.call("LLEN", "text", deadline=Deadline.after(5))

    assert ours.call("PING", deadline=Deadline.after(5)) == b"PONG"
    assert connections(redis_client) == before


def test_call__a_replica_that_was_the_master_is_left(
    link: MakeLink, own_redis: Callable[..., RedisServer]
) -> None:
    server = own_redis()
    ours = link(server.url)
    ours.call("SET", "a", 1, deadline=Deadline.after(5))
    with redis.Redis.from_url(server.url) as client:
        client.replicaof("127.0.0.1", str(free_port()))
        before = connections(client)

        with pytest.raises(ReadOnlyError):
            ours.call("SET", "a", 2, deadline=Deadline.after(5))

        # The next call asks sentinels, or the name service, where the master is now.
        assert ours.call("PING", deadline=Deadline.after(5)) == b"PONG"
        assert connections(client) - before


def test_call__nothing_is_sent_when_the_time_is_up(link: MakeLink, redis_url: str) -> None:
    ours = link(redis_url)

    for _ in range(2):  # without a connection, and with one
        with pytest.raises((OSError, redis.RedisError), match="No answer within 0 s"):
            ours.call("PING", deadline=Deadline.after(0))
        ours.call("PING", deadline=Deadline.after(5))


def test_call__no_wait_is_longer_than_a_step(link: MakeLink) -> None:
    with unanswered_port() as port:
        ours = link(f"redis://127.0.0.1:{port}/0")
        started = time.monotonic()

        with pytest.raises((OSError, redis.RedisError)):
            ours.call("PING", deadline=Deadline.after(5), step_seconds=0.2)

        assert time.monotonic() - started < 1


# Several URLs --------------------------------------------------------------------------------------------


def test_every_url__the_one_that_answers_is_kept(link: MakeLink, redis_url: str) -> None:
    ours = link(f"redis://127.0.0.1:{free_port()}/0;{redis_url}", every_url=True)

    assert ours.call("PING", deadline=Deadline.after(5)) == b"PONG"
    ours.close()
    assert ours.call("PING", deadline=Deadline.after(5)) == b"PONG"


def test_every_url__each_gets_its_part_of_the_time(link: MakeLink, redis_url: str) -> None:
    with unanswered_port() as one, unanswered_port() as two:
        urls = [f"redis://127.0.0.1:{one}/0", f"redis://127.0.0.1:{two}/0", redis_url]
        ours = link(";".join(urls), every_url=True)
        started = time.monotonic()

        assert ours.call("PING", deadline=Deadline.after(1.5)) == b"PONG"
        assert 0.9 < time.monotonic() - started < 1.5


def test_one_url__the_first_alone(link: MakeLink, redis_url: str) -> None:
    ours = link(f"redis://127.0.0.1:{free_port()}/0;{redis_url}")

    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            ours.call("PING", deadline=Deadline.after(5))


def test_secrets__of_every_url_and_of_the_sentinels(link: MakeLink) -> None:
    ours = link(
        "sentinel://:one%2Fword@h:26379/0;sentinel://:another@i:26379/0",
        sentinel_kwargs={"password": "of sentinels"},
    )

    assert {"one/word", "one%2Fword", "another", "of sentinels"} <= set(ours.secrets)
