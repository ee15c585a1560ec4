"""Messages as kombu puts them into a Redis list, and as others may."""

from __future__ import annotations

import json
from typing import Any

from celery_health.headers import PUBLISHED_AT_HEADER

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
