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
        # A user with an "@", as a mail address has it.
        ("redis://me@corp:hunter2@host:6379/0", "redis://me@corp:**@host:6379/0"),
        ("amqp://me@corp:hun@ter2@host/v", "amqp://me@corp:**@host/v"),
        ("amqp://me@corp:hun:ter/2@host/v", "amqp://me@corp:**@host/v"),
        (
            "redis://me@corp:hunter2@a/0;redis://me@corp:hunter2@b/1",
            "redis://me@corp:**@a/0;redis://me@corp:**@b/1",
        ),
        ("redis://me@corp:hunter2@a/0,redis://b:1", "redis://me@corp:**@a/0,redis://b:1"),
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
        *(
            (f"redis://host/0?{name}=hunter2&db=1", f"redis://host/0?{name}=**&db=1")
            for name in (
                *(
                    "pass",
                    "PASS",
                    "passwd",
                    "pwd",
                    "userpass",
                    "db_pass",
                    "passwort",
                    "passphrase",
                    "passcode",
                ),
                *("secret", "client_secret", "token", "session-token", "jwt", "credential", "credentials"),
                *("creds", "api_key", "api-key", "apikey", "api.key", "account_key", "private_key", "auth"),
                *("authorization", "signature", "sig", "SharedAccessKey", "ssl_keyfile_password"),
            )
        ),
        # Several to fail over between.
        ("sentinel://:hunter2@a:1;sentinel://:hunter2@b:2/0", "sentinel://:**@a:1;sentinel://:**@b:2/0"),
        (
            "amqp://u:hunter2@a//;amqp://b//;amqp://c:hunter2@d//",
            "amqp://u:**@a//;amqp://b//;amqp://c:**@d//",
        ),
        ("redis://:hunter2@a,redis://shop@b", "redis://:**@a,redis://shop@b"),
        ("redis://:hun;ter,2@a", "redis://:**@a"),
        # What looks like the next URL is a part of the password while no host has followed.
        ("redis://:hun,ter://2@h", "redis://:**@h"),
        ("redis://:hun;ter://2@h;redis://:hunter2@b", "redis://:**@h;redis://:**@b"),
        ("amqp://u:hunter2,amqp://x:hunter2@h", "amqp://u:**@h"),
        ("amqp://u:hunter2;amqp://x@h", "amqp://u:**@h"),
        ("amqp://me@corp:hunter2;amqp://x@h", "amqp://me@corp:**@h"),
        ("redis://[::1]:6379/0,redis://:hunter2@[::2]:1", "redis://[::1]:6379/0,redis://:**@[::2]:1"),
        ("redis://:hunter2@[::1]:6379/0;redis://b", "redis://:**@[::1]:6379/0;redis://b"),
        ("amqp://u:hunter2@a amqp://me@corp:hunter2@b", "amqp://u:**@a amqp://me@corp:**@b"),
        ("amqp://u:hunter2@a;\n  amqp://b, amqp://u:hunter2@c", "amqp://u:**@a;\n  amqp://b, amqp://u:**@c"),
        # Python's error for a password with a "/", or without a host behind it.
        (
            "ValueError: Port could not be cast to integer value as 'hun'",
            "ValueError: Port could not be cast to integer value as '**'",
        ),
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
        "redis://me@corp@host:6379/0",
        "redis://shop@a:1;redis://shop@b:2/0",
        "redis://[::1]:6379/0",
        "amqp://host/v?passive=1&heartbeat=10&routing_key=a&ssl_keyfile=/etc/k.pem&authmechanism=PLAIN",
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


@pytest.mark.parametrize(
    "piece", ["http://", "http://a:", "a-", "a://b:c/", "x@", "a://x@", "a://:b,", "a://:b;c@"]
)
def test_mask__time_grows_with_the_length_of_a_hostile_text_not_its_square(piece: str) -> None:
    def seconds(length: int) -> float:
        text = "@" + piece * (length // len(piece))
        started = time.process_time()
        mask(text)
        return time.process_time() - started

    # A square would take 400 times as long; a busy machine, a few times.
    assert seconds(400_000) < 100 * max(seconds(20_000), 0.001)
