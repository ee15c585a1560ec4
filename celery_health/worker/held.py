"""The whole state of a worker as one record: what the store keeps and everybody else reads.

Built in the agent's thread while the worker works on: it only looks, at copies taken in one step of the
interpreter, and never asks kombu or Celery for anything that could open a connection.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any, Final

from celery.worker import state as worker_state

from celery_health import __version__
from celery_health.conf import Settings
from celery_health.monitoring import options_of
from celery_health.reporting.faults import Faults
from celery_health.text.arguments import shown
from celery_health.worker.clocks import Clocks, age
from celery_health.worker.pools import Children, live_children, pool_name, runs_tasks_in_loop, slots
from celery_health.worker.queues import QueueNames

#: Tasks of each kind in a record; `*_count` says how many there are.
MAX_TASKS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What does not change while a worker runs."""

    hostname: str
    app_id: str
    config: str
    """Fingerprint of what decides over routing."""
    broker: str
    """Fingerprint of the broker's place."""
    limits: Mapping[str, float | None]
    """Time limits of the whole worker, in seconds."""


class Recorder:
    """Builds the records of one worker."""

    def __init__(
        self,
        identity: Identity,
        *,
        settings: Settings,
        clocks: Clocks,
        queues: QueueNames,
        children: Children,
        faults: Faults,
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._clocks = clocks
        self._queues = queues
        self._children = children
        self._faults = faults
        self._started_at = time.time()
        self._had_children_at = monotonic()
        self._versions = _versions()
        self._limits: dict[str, float | None] = {}
        self.consumer: Any = None
        """Celery's, from its first start on."""
        self.fingerprint = ""
        self.ready = False
        self.draining = False
        self.goodbye = False

    # What changes -----------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Say whether the consumer has a connection, as far as it knows."""
        return self._clocks.attached and getattr(self.consumer, "connection", None) is not None

    def consumed_queues(self) -> tuple[str, ...]:
        """Return the queues that the consumer is subscribed to."""
        task_consumer: Any = getattr(self.consumer, "task_consumer", None)
        if task_consumer is None:
            return ()
        return tuple(str(queue.name) for queue in _copy(lambda: task_consumer.queues))

    def is_looping(self) -> bool:
        """Say whether the event loop should be turning now.

        Not while it reconnects or drains. A solo worker runs its task inside the loop, and greenlets share
        it, so a busy one may stand still.
        """
        if not self.connected or self.draining or self.goodbye:
            return False
        return not (runs_tasks_in_loop(self.consumer.pool) and _members(worker_state.active_requests))

    def can_consume(self) -> bool | None:
        """Say whether the worker may take another message now; None where nobody can say."""
        consumer = self.consumer
        task_consumer: Any = getattr(consumer, "task_consumer", None)
        qos: Any = getattr(consumer, "qos", None)
        if task_consumer is None or qos is None:
            return None
        channel_qos = getattr(task_consumer.channel, "qos", None)
        if channel_qos is not None and hasattr(channel_qos, "can_consume"):
            return bool(channel_qos.can_consume())
        # AMQP: the broker pushes as long as fewer are unacknowledged than the prefetch count.
        if not qos.value:
            return True
        held = [*_members(worker_state.reserved_requests), *_rate_limited(consumer), *_scheduled(consumer)]
        unacknowledged = {id(request) for request in held if not request.acknowledged}
        return len(unacknowledged) < int(qos.value)

    def record(self) -> dict[str, Any]:
        """Return the record, as JSON can hold it."""
        now = monotonic()
        self._clocks.look_at_progress(now)
        consumer = self.consumer
        pool = getattr(consumer, "pool", None)
        queues = self.consumed_queues()
        held = self._held(consumer, now)
        connected = self.connected
        return {
            "v": 1,
            "hostname": self._identity.hostname,
            "pid": os.getpid(),
            "app_id": self._identity.app_id,
            "queues": list(queues),
            "fingerprint": self.fingerprint,
            "pool": pool_name(pool),
            "concurrency": slots(pool),
            **self._pool_processes(pool, now),
            **self._children.record(now),
            **held,
            "processed": worker_state.all_total_count[0],
            "prefetch_count": getattr(getattr(consumer, "qos", None), "value", None),
            "can_consume": self.can_consume() if connected else None,
            "paused": connected and not queues,
            "connected": connected,
            "looping": self.is_looping(),
            "loop_age_seconds": _rounded(self._clocks.loop_age(now)),
            "read_age_seconds": _rounded(self._clocks.read_age(now)),
            "progress_age_seconds": _rounded(self._clocks.progress_age(now)),
            "draining": self.draining,
            "goodbye": self.goodbye,
            "ready": self.ready,
            "started_at": self._started_at,
            "versions": self._versions,
            "config": self._identity.config,
            "broker": self._identity.broker,
            "limits": dict(self._identity.limits),
            "restart_count": max(0, getattr(consumer, "restart_count", 0)),
        }

    def _pool_processes(self, pool: Any, now: float) -> dict[str, Any]:
        """Return the live pool processes, and how long there has been none: they come and go one by one."""
        children = live_children(pool)
        if children != 0:
            self._had_children_at = now
        return {"children": children, "childless_seconds": _rounded(now - self._had_children_at)}

    # Tasks ------------------------------------------------------------------------------------------

    def _held(self, consumer: Any, now: float) -> dict[str, Any]:
        """Return the tasks that the worker has taken: running, waiting for a slot, waiting for their ETA."""
        active = [r for r in _members(worker_state.active_requests) if not _is_over(r)]
        running = {id(request) for request in active}
        waiting = [*_members(worker_state.reserved_requests), *_rate_limited(consumer)]
        reserved = [r for r in waiting if id(r) not in running and not _is_over(r)]
        taken = running | {id(request) for request in reserved}
        scheduled = [r for r in _scheduled(consumer) if id(r) not in taken]
        # The longest runs first: if anything is cut off, then what has just begun.
        active.sort(key=lambda request: request.time_start or 0.0)
        return {
            "active": [self._running_row(request, now) for request in active[:MAX_TASKS]],
            "reserved": [self._row(request) for request in reserved[:MAX_TASKS]],
            "scheduled": [self._scheduled_row(request) for request in scheduled[:MAX_TASKS]],
            "active_count": len(active),
            "reserved_count": len(reserved),
            "scheduled_count": len(scheduled),
            "active_by_queue": self._by_queue(active),
            "reserved_by_queue": self._by_queue(reserved),
            "scheduled_by_queue": self._by_queue(scheduled),
        }

    def _by_queue(self, requests: Iterable[Any]) -> dict[str, int]:
        return dict(Counter(self._queue(request) for request in requests))

    def _queue(self, request: Any) -> str:
        origin = getattr(request.message, "celery_health_origin", None)
        if origin is not None:
            return str(origin.queue)
        # A task that is not monitored.
        info = request.delivery_info or {}
        return self._queues.bound_to(info.get("exchange"), info.get("routing_key"))

    def _row(self, request: Any) -> dict[str, Any]:
        row = {"task_id": request.id, "task_name": request.type, "queue": self._queue(request)}
        if self._settings.show_arguments:
            try:
                row["args"], row["kwargs"] = shown(
                    request.task.run, request.args or (), request.kwargs or {}, self._settings.redact
                )
            except Exception as error:
                self._faults.caught("recorder.arguments", error)
        return row

    def _running_row(self, request: Any, now: float) -> dict[str, Any]:
        accepted_at = getattr(request, "health_accepted_at", None)
        return {
            **self._row(request),
            "time_start": request.time_start,
            "runtime_seconds": _rounded(age(accepted_at, now)),
            "limit_seconds": self._limit(request),
        }

    def _scheduled_row(self, request: Any) -> dict[str, Any]:
        eta = request.eta
        return {**self._row(request), "eta": None if eta is None else eta.isoformat()}

    def _limit(self, request: Any) -> float | None:
        """Return how long a run may take by the task's own word, else by its hard or soft time limit."""
        name = request.type
        if name not in self._limits:
            options = options_of(request.task)
            self._limits[name] = None if options is None else options.expected_seconds
        expected = self._limits[name]
        if expected is not None:
            return expected
        hard, soft = request.time_limits or (None, None)
        task, whole = request.task, self._identity.limits
        limit: float | None = (
            hard or task.time_limit or whole.get("time_limit")
            or soft or task.soft_time_limit or whole.get("soft_time_limit")
        )  # fmt: skip
        return limit


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _is_over(request: Any) -> bool:
    # Celery keeps some that have ended: a task in the threads pool that called sys.exit, for one.
    return getattr(request, "health_outcome", None) is not None


def _copy(source: Callable[[], Iterable[Any]]) -> list[Any]:
    """Return what `source()` yields, tried again when the worker changes it meanwhile."""
    for _ in range(5):
        try:
            return list(source())
        except RuntimeError:  # changed size during iteration
            continue
    return []


def _members(requests: Any) -> list[Any]:
    """Return what is alive in a WeakSet that the main thread changes."""
    # Copying a set of weak references runs no Python code, so nothing can change it meanwhile.
    references = requests.data.copy()
    return [request for reference in references if (request := reference()) is not None]


def _rate_limited(consumer: Any) -> list[Any]:
    """Return what waits for its rate limit: taken from the queue, and in none of Celery's sets."""
    buckets: Any = getattr(consumer, "task_buckets", None) or {}
    limited = [bucket.contents for bucket in _copy(buckets.values) if bucket is not None]
    return [item[0] for contents in limited for item in _copy(partial(iter, contents))]


def _scheduled(consumer: Any) -> Sequence[Any]:
    """Return the tasks that wait for their ETA."""
    scheduled = getattr(worker_state, "scheduled_requests", None)
    if scheduled is not None:
        return _members(scheduled)
    # Before Celery 5.6 they are only to be found among the timers, as celery/worker/control.py does.
    timer = getattr(consumer, "timer", None)
    queue = getattr(getattr(timer, "schedule", timer), "_queue", None) or ()
    found = []
    for item in _copy(partial(iter, queue)):
        args = getattr(getattr(item, "entry", None), "args", None) or ()
        if args and hasattr(args[0], "request_dict"):
            found.append(args[0])
    return found


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "celery_health": __version__}
    for package in ("celery", "kombu", "redis"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
