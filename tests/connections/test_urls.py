"""A broker's URL as it is shown: a mask for each password that there is, on each kombu alike."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Connection

from celery_health.connections.urls import masked_url

SHOWN = [
    # kombu 5.7 would show a password in all of these.
    ("redis://host:6379/0", {}, "redis://host:6379/0"),
    ("redis://host", {}, "redis://host:6379//"),
    ("redis://shop@host/0", {}, "redis://shop@host:6379/0"),
    ("redis://shop:@host/0", {}, "redis://shop@host:6379/0"),
    ("rediss://host/0", {}, "rediss://host:6379/0"),
    ("memory://", {}, "memory://localhost//"),
    ("redis+socket:///run/redis.sock", {}, "redis+socket:///run/redis.sock"),
    ("sentinel://a:1;sentinel://b:2/0", {}, "sentinel://a:1;sentinel://b:2/0"),
    # There is one.
    ("redis://:hunter2@host/0", {}, "redis://:**@host:6379/0"),
    ("redis://shop:hunter2@host/0", {}, "redis://shop:**@host:6379/0"),
    ("rediss://:hun%40ter%2F2@host/0", {}, "rediss://:**@host:6379/0"),
    ("redis+socket://:hunter2@/run/redis.sock", {}, "redis+socket://:**@/run/redis.sock"),
    ("redis+socket:///run/redis.sock?password=hunter2", {}, "redis+socket:///run/redis.sock?password=**"),
    ("sentinel://:hunter2@a:1;sentinel://b:2/0", {}, "sentinel://:**@a:1;sentinel://b:2/0"),
    ("amqp://shop:hunter2@a//;amqp://shop:hunter2@b//", {}, "amqp://shop:**@a//;amqp://shop:**@b//"),
    ("amqps://shop:hunter%2F2@host/v", {}, "amqps://shop:**@host:5671/v"),
    ("redis://me@corp:hunter2@h/0", {}, "redis://me%40corp:**@h:6379/0"),
    (
        "redis://me@corp:hunter2@h/0;redis://me@corp:hunter2@h/1",
        {},
        "redis://me@corp:**@h/0;redis://me@corp:**@h/1",
    ),
    # As long as a port, and as plain as a user.
    ("redis://a:12345@b/0;redis://12345:12345@c/0", {}, "redis://a:**@b/0;redis://12345:**@c/0"),
    ("amqp://shop:shop@shop/shop", {}, "amqp://shop:**@shop:5672/shop"),
    # Beside the URL, and by a function, which is not called for that.
    ("redis://host", {"password": "hunter2"}, "redis://:**@host:6379//"),
    ("redis://host", {"password": lambda: 1 / 0}, "redis://:**@host:6379//"),
    # RabbitMQ's own user, and its password.
    ("amqp://host", {}, "amqp://guest:**@host:5672//"),
    ("amqp://guest@host", {}, "amqp://guest:**@host:5672//"),
]


@pytest.mark.parametrize(("url", "options", "shown"), SHOWN)
def test_masked_url__has_a_mask_where_there_is_a_password(
    url: str, options: dict[str, Any], shown: str
) -> None:
    assert masked_url(Connection(url, **options)) == shown
