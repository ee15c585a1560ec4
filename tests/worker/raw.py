"""Messages as they lie in the queue, for what Celery itself would never send."""

from __future__ import annotations

import base64
import json
import uuid

import redis

from tests.worker.conftest import PREFIX


def push(client: redis.Redis, body: bytes, *, content_type: str, headers: dict[str, object]) -> None:
    """Put a message into the queue as kombu would, whatever is in it."""
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": content_type,
        "headers": headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "delivery_mode": 2,
            "delivery_tag": str(uuid.uuid4()),
            "priority": 0,
        },
    }
    client.lpush("celery", json.dumps(message))


def task_headers(name: str, **more: object) -> dict[str, object]:
    return {"id": str(uuid.uuid4()), "task": PREFIX + name, "lang": "py", "argsrepr": "()", **more}
