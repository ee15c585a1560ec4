"""What a broker does not take as it is: long headers, a queue that is none, a queue that is another kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.dead_letters.boxes import UnwritableError
from celery_health.dead_letters.capture import capture
from tests.dead_letters.burying import lying_in
from tests.dead_letters.conftest import BOOM, Post

on_redis = pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
on_rabbitmq = pytest.mark.parametrize(
    "broker_url", [pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)], indirect=True
)
LONG = replace(BOOM, message="m" * 50_000, traceback="\x00\u00e9" * 100_000)


def test_texts__are_cut_and_masked(post: Post) -> None:
    secret = "redis://:hunter2@host/0 "
    post.publish()
    post.bury(failure=replace(BOOM, message=secret * 1000, traceback=secret * 2000))
    (letter,) = lying_in(post.app, "celery.dead")
    assert 800 < len(letter.reason.message) <= 1000
    assert letter.reason.traceback is not None
    assert 7000 < len(letter.reason.traceback) <= 8000
    # Nor a half that the cut left over.
    assert "hun" not in letter.headers["celery_health_dead_letter"]
    assert "er2" not in letter.headers["celery_health_dead_letter"]


@on_rabbitmq
def test_headers__that_fill_the_frame_leave_room_for_the_cause_alone(post: Post) -> None:
    post.publish(headers={"tenant": "x" * 125_000})
    post.bury(failure=LONG)
    (letter,) = lying_in(post.app, "celery.dead")
    assert letter.headers["tenant"] == "x" * 125_000
    assert (letter.reason.exception, letter.reason.traceback) == ("Boom", None)
    assert len(letter.reason.message) == 100


@on_rabbitmq
def test_headers__that_leave_no_room_are_refused_and_nothing_breaks(post: Post) -> None:
    post.publish(headers={"tenant": "x" * 130_200})
    with pytest.raises(UnwritableError, match="more than a frame holds"):
        post.bury(failure=LONG)
    post.letter()
    assert len(lying_in(post.app, "celery.dead")) == 1


@on_redis
def test_headers__are_without_limit_on_redis(post: Post) -> None:
    post.publish(headers={"tenant": "x" * 1_000_000})
    post.bury(failure=LONG)
    (letter,) = lying_in(post.app, "celery.dead")
    assert letter.reason.traceback is not None


@on_redis
def test_queue__that_is_no_list_is_refused(post: Post, redis_client: Any) -> None:
    redis_client.set("celery.dead", "mine")
    with pytest.raises(UnwritableError, match="WRONGTYPE"):
        post.letter()
    assert redis_client.get("celery.dead") == b"mine"


@on_rabbitmq
@pytest.mark.parametrize("arguments", [{"x-queue-type": "quorum"}, {"x-max-priority": 9, "x-max-length": 5}])
def test_queue__that_exists_is_taken_as_it_is(arguments: dict[str, Any], post: Post) -> None:
    with post.app.connection_for_write() as connection:
        connection.default_channel.queue_declare(
            "celery.dead", durable=True, auto_delete=False, arguments=arguments
        )
    post.letter()
    assert post.ready("celery.dead") == 1


@on_rabbitmq
def test_queue__that_was_deleted_is_declared_again(post: Post) -> None:
    post.letter()
    with post.app.connection_for_write() as connection:
        connection.default_channel.queue_delete("celery.dead")
    post.letter()
    assert post.ready("celery.dead") == 1


def test_batch__written_again_on_redis_is_there_once(post: Post) -> None:
    from celery_health.dead_letters.boxes import Batch
    from celery_health.deadline import Deadline

    post.publish()
    letter = capture(post.take("celery"), BOOM, queue="celery", worker="w1@test")
    batch = Batch(number=1, queue="celery", letters=(letter,))
    times = 2 if "redis" in post.app.conf.broker_url else 1
    for _ in range(times):
        assert post.box.write(batch, Deadline.after(10)) == 0
    assert post.ready("celery.dead") == 1


def test_cap__the_oldest_go_and_are_told(post: Post) -> None:
    post.box.max_length = 2
    if hasattr(post.box, "_writing"):
        post.box._writing._max_length = 2
    letters = []
    for _ in range(5):
        post.publish()
        letters.append(capture(post.take("celery"), BOOM, queue="celery", worker="w1@test"))
    assert post.write("celery", *letters[:3]) == 1
    assert post.write("celery", *letters[3:]) == 2
    found = [one.headers["id"] for one in lying_in(post.app, "celery.dead")]
    assert found == [one.headers["id"] for one in letters[3:]]
