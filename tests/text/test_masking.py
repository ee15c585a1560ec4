from __future__ import annotations

import time

import pytest

from celery_health.text.masking import describe_error, mask


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # The forms of broker URLs, user or none.
        ("redis://:hunter2@host:6379/0", "redis://:**@host:6379/0"),
        ("amqp://shop:hunter2@host:5672/vhost", "amqp://shop:**@host:5672/vhost"),
        ("rediss://shop:hunter2@host/0?ssl_cert_reqs=none", "rediss://shop:**@host/0?ssl_cert_reqs=none"),
        ("sentinel://:hunter2@one:26379", "sentinel://:**@one:26379"),
        ("redis+socket://:hunter2@/run/redis.sock", "redis+socket://:**@/run/redis.sock"),
        # Unquoted signs in a password, as people write them.
        ("redis://:hun@ter2@host:6379/0", "redis://:**@host:6379/0"),
        ("redis://:hun/ter2@host:6379/0", "redis://:**@host:6379/0"),
        ("redis://:hun:ter2@host:6379/0", "redis://:**@host:6379/0"),
        # Quoted signs.
        ("amqp://shop:hunter%402@host//", "amqp://shop:**@host//"),
        # In the query.
        ("redis://host/0?password=hunter2&db=1", "redis://host/0?password=**&db=1"),
        ("sqs://host?secret=hunter2", "sqs://host?secret=**"),
        ("https://host/?api_key=hunter2;x=1", "https://host/?api_key=**;x=1"),
        ("https://host/?TOKEN=hunter2", "https://host/?TOKEN=**"),
        (
            "redis+socket:///run/redis.sock?password=hun;ter2&virtual_host=1",
            "redis+socket:///run/redis.sock?password=**&virtual_host=1",
        ),
        ("sqs://host?aws_secret_access_key=hunter2;x=1", "sqs://host?aws_secret_access_key=**;x=1"),
        (
            "sentinel://a?sentinel_password=hunter2;sentinel://b",
            "sentinel://a?sentinel_password=**;sentinel://b",
        ),
        # Several to fail over between.
        ("sentinel://:hunter2@a:1;sentinel://:hunter2@b:2/0", "sentinel://:**@a:1;sentinel://:**@b:2/0"),
        (
            "amqp://u:hunter2@a//;amqp://b//;amqp://c:hunter2@d//",
            "amqp://u:**@a//;amqp://b//;amqp://c:**@d//",
        ),
        ("redis://:hunter2@a,redis://shop@b", "redis://:**@a,redis://shop@b"),
        ("redis://:hun;ter,2@a", "redis://:**@a"),
        # In a sentence, twice.
        (
            "Cannot reach redis://:hunter2@a:1/0, nor amqp://u:hunter2@b:2//.",
            "Cannot reach redis://:**@a:1/0, nor amqp://u:**@b:2//.",
        ),
    ],
)
def test_mask__hides_passwords(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "redis://host:6379/0",
        "redis://shop@host:6379/0",
        # No password is none to hide.
        "redis://:@host:6379/0",
        "redis://shop:@host:6379/0",
        "rediss://host/0?ssl_cert_reqs=none",
        "redis+socket:///run/redis.sock?virtual_host=1",
        "sentinel://a:1;sentinel://b:2/0",
        "Queue 'emails' holds 1204 tasks: mail ops@example.org at 10:30.",
        "",
        "memory://",
    ],
)
def test_mask__leaves_the_rest_alone(text: str) -> None:
    assert mask(text) == text


def test_mask__hides_known_secrets_that_stand_bare() -> None:
    assert mask("WRONGPASS for hunter2", ["hunter2"]) == "WRONGPASS for **"


def test_mask__ignores_secrets_that_would_blank_the_message() -> None:
    assert mask("an apple a day", ["a", "an", "", None]) == "an apple a day"


def test_mask__takes_any_object() -> None:
    assert mask(ValueError("redis://:hunter2@h/0")) == "redis://:**@h/0"


def test_describe_error__is_one_masked_line() -> None:
    error = ConnectionError("Error 111 connecting to\n  redis://:hunter2@h:1/0:\tConnection refused, hunter2")
    assert describe_error(error, ["hunter2"]) == (
        "ConnectionError: Error 111 connecting to redis://:**@h:1/0: Connection refused, **"
    )


def test_describe_error__without_a_message_names_the_class() -> None:
    assert describe_error(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("piece", ["http://", "http://a:", "a-", "a://b:c/", "x@"])
def test_mask__time_grows_with_the_length_of_a_hostile_text_not_its_square(piece: str) -> None:
    def seconds(length: int) -> float:
        text = "@" + piece * (length // len(piece))
        started = time.process_time()
        mask(text)
        return time.process_time() - started

    # A square would take 400 times as long; a busy machine, a few times.
    assert seconds(400_000) < 100 * max(seconds(20_000), 0.001)
