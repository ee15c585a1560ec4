"""What keeps a worker with free slots from taking more: its hands are full of what may not run yet.

Celery takes messages until its prefetch count is reached. What waits for a rate limit counts; what waits for
its ETA counts where that does not grow with each: at ``worker_eta_task_limit`` (kombu/common.py: QoS), and on
quorum queues, where it is static (celery/worker/consumer/tasks.py: Tasks.qos_global).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from celery_health.text.printable import printable

#: Tasks that a record names as the cause; those that most are held of.
MAX_HOLDS: Final = 10
_MAX_NAME: Final = 500


def holds(consumer: Any, *, limited: Sequence[Any], scheduled: Sequence[Any]) -> list[dict[str, Any]]:
    """Return one row for each limit and task: ``by``, ``task_name``, how many, and the limit in words.

    Args:
        consumer: Celery's.
        limited: the requests that wait for their rate limit.
        scheduled: those that wait for their ETA.
    """
    rows = _rows("rate_limit", limited, lambda name: _rate_limit(consumer, name))
    eta_limit = getattr(consumer.qos, "max_prefetch", None)
    if _is_static(consumer):
        limit = f"prefetch count {prefetch_limit(consumer)}, static on quorum queues"
        rows += _rows("eta", scheduled, lambda _: limit)
    elif eta_limit is not None and consumer.qos.value >= eta_limit:
        rows += _rows("eta", scheduled, lambda name: f"worker_eta_task_limit {eta_limit}")
    return sorted(rows, key=lambda row: -int(row["count"]))[:MAX_HOLDS]


def prefetch_limit(consumer: Any) -> int:
    """Return how many messages an AMQP broker gives the worker at once; 0 is without bound."""
    return int(consumer.initial_prefetch_count if _is_static(consumer) else consumer.qos.value)


def _is_static(consumer: Any) -> bool:
    """Say whether the prefetch count stays as it began: on quorum queues, whatever Celery sets later."""
    transport = getattr(consumer.connection, "transport", None)
    # On virtual transports it is not global either, and follows all the same.
    return (
        getattr(consumer, "qos_global", None) is False and getattr(transport, "driver_type", None) == "amqp"
    )


def _rows(by: str, requests: Iterable[Any], limit: Callable[[str], str | None]) -> list[dict[str, Any]]:
    counts = Counter(str(request.type) for request in requests)
    return [
        {"by": by, "task_name": printable(name, _MAX_NAME), "count": count, "limit": limit(name)}
        for name, count in counts.most_common(MAX_HOLDS)
    ]


def _rate_limit(consumer: Any, name: str) -> str | None:
    # As it stands now: remote control may have changed it (celery/worker/control.py: rate_limit).
    limit = getattr(dict.get(consumer.app.tasks, name), "rate_limit", None)
    if limit is None:
        return None
    return printable(limit if isinstance(limit, str) else f"{limit:g}/s", 40)
