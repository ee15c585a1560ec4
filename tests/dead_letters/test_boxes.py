"""What each broker does in its own way: looking, deadlines, priorities, reach."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.conf import get_settings
from celery_health.dead_letters import amqp_box, body, entries, letters, requeue
from celery_health.dead_letters.opening import open_box
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, UnsupportedError
from tests.dead_letters.conftest import Post, make_current
from tests.support import RabbitServer, RedisServer, unanswered_port


class OnRedis:
    @pytest.fixture
    def broker_url(self, redis_url: str) -> str:
        return redis_url


class OnRabbit:
    @pytest.fixture
    def broker_url(self, rabbit_url: str) -> str:
        return rabbit_url


class TestRedis(OnRedis):
    def test_look__changes_no_byte(self, post: Post, redis_client: redis.Redis) -> None:
        for number in range(3):
            post.letter("celery", args=[number])

        def everything() -> dict[bytes, Any]:
            keys: Any = redis_client.keys("*dead*")
            return {key: redis_client.dump(key) for key in keys}

        before = everything()
        entries("celery")
        letters.entry("celery", entries("celery").letters[1].id)
        requeue("celery", dry_run=True)

        assert everything() == before

    @pytest.mark.parametrize(("priority", "key"), [(0, "q"), (2, "q"), (3, "q\x06\x163"), (9, "q\x06\x169")])
    def test_requeue__into_the_step_of_its_priority(
        self, post: Post, redis_client: redis.Redis, priority: int, key: str
    ) -> None:
        # Taken by hand: kombu's own get looks into all steps.
        post.letter("q", priority=priority)

        requeue("q", force=True)

        assert redis_client.llen(key) == 1

    def test_steps_separator_and_prefix(
        self, redis_url: str, make_app: Callable[..., Celery], redis_client: redis.Redis, post: Post
    ) -> None:
        options = {"priority_steps": list(range(10)), "sep": ":", "global_keyprefix": "shop."}
        app = make_app(redis_url, broker_transport_options=options)
        make_current(app)
        other = Post(app)
        other.letter("q", priority=7)

        assert redis_client.llen("shop.q.dead") == 1
        assert [letter.priority for letter in entries("q").letters] == [7]
        requeue("q", force=True)
        assert redis_client.llen("shop.q:7") == 1
        assert letters.sizes()["q"] == 0
        other.box.close()

    def test_requeue__original_message_but_for_headers_and_delivery(
        self, post: Post, redis_client: redis.Redis
    ) -> None:
        post.publish("celery", args=["ü"], priority=3, headers={"x": 1})
        raw: Any = redis_client.lindex("celery\x06\x163", 0)
        original = json.loads(raw)
        post.bury("celery")

        requeue("celery", force=True)

        raw = redis_client.lindex("celery\x06\x163", 0)
        again = json.loads(raw)
        added = {"celery_health_requeued", "celery_health_published_at"}
        assert again["body"] == original["body"]
        assert {k: v for k, v in again["headers"].items() if k not in added} == {
            k: v for k, v in original["headers"].items() if k not in added
        }
        assert again["properties"].pop("delivery_info") == {"exchange": "", "routing_key": "celery"}
        original["properties"].pop("delivery_info")
        assert again["properties"].pop("delivery_tag") != original["properties"].pop("delivery_tag")
        assert again["properties"] == original["properties"]

    def test_hung__every_call_ends_in_time(
        self, own_redis: Callable[..., RedisServer], make_app: Any, settings: Any, post: Post
    ) -> None:
        server = own_redis()
        make_current(make_app(server.url))
        settings.CELERY_HEALTH = {"DEADLINE": 0.5}
        server.pause()
        try:
            assert_in_time()
        finally:
            server.resume()

    def test_unanswered__every_call_ends_in_time(self, make_app: Any, settings: Any, post: Post) -> None:
        settings.CELERY_HEALTH = {"DEADLINE": 0.5}
        with unanswered_port() as port:
            make_current(make_app(f"redis://:s3cret@127.0.0.1:{port}/0"))
            assert "s3cret" not in assert_in_time()


class TestRabbit(OnRabbit):
    def test_look__leaves_letters_in_place_and_marks_them(self, post: Post) -> None:
        ids = [post.letter("celery") for _ in range(3)]

        for _ in range(30):  # more often than a quorum queue would let us
            assert [letter.task_id for letter in entries("celery").letters] == ids

        first = post.take("celery.dead")
        assert first.headers["id"] == ids[0]
        assert first.delivery_info["redelivered"] is True

    def test_reach__only_the_first_can_be_shown(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(amqp_box, "REACH_LETTERS", 3)
        ids = [post.letter("celery", task=f"t{number}") for number in range(5)]

        page = entries("celery")

        assert [letter.task_id for letter in page.letters] == ids[:3]
        assert (page.size, page.looked_at, page.complete) == (5, 3, False)
        assert body.page_notes(page) == (
            "RabbitMQ shows only the first 3 of 5 letters. Requeue or purge to see those behind.",
        )
        with pytest.raises(
            letters.LetterNotFoundError, match="among the first 3 of 5: RabbitMQ shows no more"
        ):
            letters.entry("celery", ids[4])
        done = requeue("celery", ids[4], force=True)
        assert (done.requeued, done.complete, done.finished, done.remaining) == (0, False, False, 5)
        # What is sent is out of the way: all can be.
        done = requeue("celery", force=True)
        assert (done.requeued, done.complete, done.remaining) == (5, True, 0)

    def test_reach__by_bytes_too(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(amqp_box, "REACH_BYTES", 50_000)
        for _ in range(4):
            post.letter("celery", args=["x" * 30_000])

        page = entries("celery")

        assert (page.size, page.looked_at, page.complete) == (4, 2, False)

    def test_original_queue__is_not_declared_anew(
        self, post: Post, rabbit: RabbitServer, rabbit_vhost: str
    ) -> None:
        rabbit.api("PUT", f"queues/{rabbit_vhost}/odd", {"durable": True, "arguments": {"x-max-length": 5}})
        with post.app.connection_for_write() as connection:
            channel: Any = connection.default_channel
            message = channel.prepare_message(
                b"[[], {}, {}]", content_type="application/json", headers={"id": "i"}
            )
            channel.basic_publish(message, exchange="", routing_key="odd.dead")
            channel.queue_declare("odd.dead", durable=True, auto_delete=False)
            channel.basic_publish(message, exchange="", routing_key="odd.dead")

        assert requeue("odd", force=True).requeued == 1
        row = rabbit.api("GET", f"queues/{rabbit_vhost}/odd")
        assert row["arguments"] == {"x-max-length": 5}

    def test_no_connection_is_left(self, post: Post, rabbit: RabbitServer, rabbit_vhost: str) -> None:
        post.letter("celery")
        post.box.close()
        for _ in range(3):
            entries("celery")
            requeue("celery", dry_run=True)
        rows = rabbit.api("GET", f"vhosts/{rabbit_vhost}/connections")
        # The management keeps what has closed for some seconds; what is open says so.
        assert len([row for row in rows if row.get("state") == "running"]) <= 1

    def test_unanswered__every_call_ends_in_time(self, make_app: Any, settings: Any, post: Post) -> None:
        settings.CELERY_HEALTH = {"DEADLINE": 0.5}
        with unanswered_port() as port:
            make_current(make_app(f"amqp://guest:s3cret@127.0.0.1:{port}//"))
            assert "s3cret" not in assert_in_time()


def assert_in_time() -> str:
    """Make every call against a broker that does not answer; return what they say."""
    said = []
    calls: list[Callable[[], object]] = [
        lambda: letters.entries("celery"),
        lambda: letters.entry("celery", "x"),
        lambda: letters.requeue("celery", force=True),
        lambda: letters.requeue("celery"),
        lambda: letters.purge("celery"),
        letters.sizes,
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(BrokerError) as caught:
            call()
        assert time.monotonic() - started < 2.5
        said.append(str(caught.value))
    return " ".join(said)


def test_sizes__without_a_separator(
    make_app: Callable[..., Celery], redis_url: str, redis_client: redis.Redis
) -> None:
    app = make_app(redis_url, broker_transport_options={"sep": ""})
    with closing(open_box(app, get_settings())) as box:
        registry = f"_kombu.binding.celery_health.{box.app_id}.dead_letters"
        redis_client.sadd(registry, "\x06\x16".join(("celery.dead", "", "celery.dead")))
        redis_client.lpush("celery.dead", "letter")

        assert box.sizes([], Deadline.after(5)) == {"celery": 1}


def test_sizes__options_that_kombu_cannot_use_are_an_error_of_the_broker(
    make_app: Callable[..., Celery], redis_url: str
) -> None:
    app = make_app(redis_url, broker_transport_options={"priority_steps": [0, "3"]})

    with closing(open_box(app, get_settings())) as box, pytest.raises(BrokerError, match="TypeError"):
        box.sizes([], Deadline.after(5))


@pytest.mark.parametrize("url", ["memory://", "filesystem://"])
def test_open_box__transport_that_keeps_none(make_app: Callable[..., Celery], url: str) -> None:
    with pytest.raises(UnsupportedError, match="Redis and RabbitMQ"):
        open_box(make_app(url), get_settings())
