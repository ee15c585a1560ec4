"""Short names for long things, so that two processes can tell whether they have the same."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from kombu.utils.url import parse_url

from celery_health.connections.shared_names import shared_name, shared_names

if TYPE_CHECKING:
    from celery import Celery

#: The settings that decide where a task goes and who can take it from there.
ROUTING_SETTINGS: Final = (
    "task_default_queue", "task_default_exchange", "task_default_exchange_type", "task_default_routing_key",
    "task_create_missing_queues", "task_queue_ha_policy", "task_queue_max_priority", "task_serializer",
    "task_protocol", "accept_content",
)  # fmt: skip
#: The transport options that name the broker's keys.
TRANSPORT_OPTIONS: Final = (
    "global_keyprefix", "priority_steps", "sep", "queue_order_strategy", "fanout_prefix", "fanout_patterns",
)  # fmt: skip


def registered_names(app: Celery) -> tuple[str, tuple[str, ...]]:
    """Return the fingerprint of the task names that `app` registers, and the names, sorted."""
    names = tuple(sorted(str(name) for name in app.tasks))
    return _digest("\n".join(names)), names


def routing(app: Celery) -> str:
    """Return the fingerprint of the configuration that decides over routing."""
    conf = app.conf
    options = conf.broker_transport_options or {}
    facts: dict[str, Any] = {name: conf.get(name) for name in ROUTING_SETTINGS}
    facts |= {name: options.get(name) for name in TRANSPORT_OPTIONS}
    facts["task_routes"] = conf.task_routes
    queues: Any = app.amqp.Queues(conf.task_queues or []).values()
    facts["task_queues"] = sorted(
        (
            # All queues of a fanout exchange get all, and each process may call its own as it likes.
            "" if q.exchange.type == "fanout" else shared_name(q),
            *map(str, (q.exchange.name, q.exchange.type, q.routing_key, q.max_priority)),
            # RabbitMQ refuses whoever declares a queue with other ones.
            json.dumps(q.queue_arguments or {}, sort_keys=True, default=_described),
        )
        for q in queues
    )
    text = json.dumps(facts, sort_keys=True, default=_described)
    for name, on_broker in shared_names(queues).items():
        for real in on_broker:  # routes may name it, too
            text = text.replace(json.dumps(real), json.dumps(name))
    return _digest(text)


def broker(app: Celery) -> str:
    """Return the fingerprint of the places of the broker that workers read from, without credentials."""
    connection = app.connection_for_read()
    places = []
    for url in str(";".join(connection.alt or []) or connection.as_uri(include_password=False)).split(";"):
        if "://" not in url:
            places.append(url)
            continue
        parts = parse_url(url)
        places.append(
            f"{parts['transport']}:{parts['hostname']}:{parts['port']}/{parts['virtual_host'] or ''}"
        )
    return _digest("\n".join(places))


def _described(value: object) -> str:
    """Return text for what JSON has no word for, without the address that a repr may carry."""
    if isinstance(value, re.Pattern):
        return f"re:{value.pattern}"
    name = getattr(value, "__qualname__", None)
    if name is not None:
        return f"{getattr(value, '__module__', '')}.{name}"
    if isinstance(value, set | frozenset):
        return repr(sorted(map(repr, value)))
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
