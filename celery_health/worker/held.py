"""The tasks that a worker has taken, as its record tells of them: running, waiting for a slot or their ETA.

Looked at from the agent's thread while the worker changes them: at copies taken in one step of the
interpreter, and without a call that could open a connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

from celery.worker import state as worker_state

from celery_health.conf import Settings
from celery_health.monitoring import options_of
from celery_health.reporting.faults import Faults
from celery_health.reporting.process import CLOCK
from celery_health.text.arguments import shown
from celery_health.worker.clocks import age, rounded
from celery_health.worker.due import due_rows
from celery_health.worker.holds import holds
from celery_health.worker.queues import QueueNames

#: Tasks of each kind in a record; `*_count` says how many there are.
MAX_TASKS: Final = 100
#: Tasks of each kind that a record looks at: beyond that, its numbers by queue are of these, and least ones.
MAX_LOOKED: Final = 10_000
#: Characters of an id or a name in a record: as many as its readers keep.
MAX_NAME: Final = 500
#: The lists of tasks in a record.
KINDS: Final = ("active", "reserved", "scheduled")
#: What a verdict needs of a task that runs.
_JUDGED: Final = ("task_id", "task_name", "runtime_seconds", "limit_seconds", "acknowledged", "tag")
#: Characters of a delivery tag, a random UUID, in a record: enough to tell some thousands apart.
TAG_LENGTH: Final = 8


class HeldTasks:
    """Tells of the tasks that one worker holds."""

    def __init__(
        self,
        worker_limits: Mapping[str, float | None],
        *,
        settings: Settings,
        queues: QueueNames,
        faults: Faults,
    ) -> None:
        self._worker_limits = worker_limits
        """Of the whole worker, in seconds: ``time_limit`` and ``soft_time_limit``."""
        self._settings = settings
        self._queues = queues
        self._faults = faults
        self._limits: dict[str, float | None] = {}
        """Task name → how long a run may take by the task's own word, in seconds."""

    def record(
        self, consumer: Any, now: float, *, concurrency: int | None, can_consume: bool | None
    ) -> dict[str, Any]:
        """Return rows, counts and counts by queue, of those that run, wait for a slot, wait for their ETA.

        Also what of these is due, and what holds the worker back, given its slots, and whether it may take
        another message.
        """
        active = [r for r in _members(worker_state.active_requests) if not _is_over(r)]
        running = {id(request) for request in active}
        limited = _rate_limited(consumer)
        looked = _members(worker_state.reserved_requests, MAX_LOOKED)
        waiting = [request for request in looked if id(request) not in running]
        given = [request for request in waiting if not _is_over(request)]
        reserved = [*given, *(r for r in limited[:MAX_LOOKED] if id(r) not in running and not _is_over(r))]
        taken = running | {id(request) for request in reserved}
        all_scheduled = _scheduled(consumer)
        scheduled = [r for r in all_scheduled[:MAX_LOOKED] if id(r) not in taken]
        # Celery keeps what runs among what is reserved.
        unseen_running = len(active) - (len(looked) - len(waiting))
        unlooked = max(0, len(worker_state.reserved_requests) - MAX_LOOKED - unseen_running)
        unlooked_limited, unlooked_scheduled = (
            max(0, len(found) - MAX_LOOKED) for found in (limited, all_scheduled)
        )
        has_free_slots = concurrency is not None and len(active) < concurrency
        # What the pool was given and does not begin would be a fault of the pool, whatever else waits.
        waits_for_pool = bool(given)
        held_back = (
            holds(consumer, limited=limited, scheduled=scheduled)
            if can_consume is False and has_free_slots and not waits_for_pool
            else []
        )
        # The longest runs first: if anything is cut off, then what has just begun.
        active.sort(key=lambda request: request.time_start or 0.0)
        of_given, of_scheduled = self._by_queue(given), self._by_queue(scheduled)
        return {
            "active": [self._running_row(request, now) for request in active[:MAX_TASKS]],
            "reserved": [self._row(request) for request in reserved[:MAX_TASKS]],
            "scheduled": [self._scheduled_row(request) for request in scheduled[:MAX_TASKS]],
            "active_count": len(active),
            "reserved_count": len(reserved) + unlooked + unlooked_limited,
            "scheduled_count": len(scheduled) + unlooked_scheduled,
            "held_back": held_back,
            "active_by_queue": _counts(self._by_queue(active)),
            "reserved_by_queue": _counts(of_given, self._by_queue(reserved[len(given) :])),
            "scheduled_by_queue": _counts(of_scheduled),
            # What waits for its rate limit could not run now.
            "due_by_queue": self._due([*of_given.items(), *of_scheduled.items()]),
            "is_cut": bool(unlooked or unlooked_limited or unlooked_scheduled),
        }

    def _due(self, groups: Sequence[tuple[str, Iterable[Any]]]) -> Mapping[str, Any] | None:
        """Return what is due by queue; None where it cannot be told, and the record goes up without it."""
        try:
            now = time.time()
            return due_rows(groups, now, CLOCK.ahead_at(now))
        except Exception as error:
            self._faults.caught("recorder.due", error)
            return None

    def _by_queue(self, requests: Iterable[Any]) -> dict[str, list[Any]]:
        """Return the requests by queue; the name of each is looked up once for all that came the same way."""
        ways: dict[Any, list[Any]] = {}
        for request in requests:
            origin = getattr(request.message, "celery_health_origin", None)
            if origin is not None:
                way: Any = id(origin)
            else:
                info = request.delivery_info or {}
                way = info.get("exchange"), info.get("routing_key")
            ways.setdefault(way, []).append(request)
        found: dict[str, list[Any]] = {}
        for those in ways.values():
            found.setdefault(self._queue(those[0]), []).extend(those)
        return found

    def _queue(self, request: Any) -> str:
        origin = getattr(request.message, "celery_health_origin", None)
        if origin is not None:
            return sane(origin.queue)
        # A task that is not monitored.
        info = request.delivery_info or {}
        return sane(self._queues.bound_to(info.get("exchange"), info.get("routing_key")))

    def _row(self, request: Any) -> dict[str, Any]:
        row = {
            "task_id": sane(request.id),
            "task_name": sane(request.type),
            "queue": self._queue(request),
        }
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
        # The others are acknowledged when they start, which a record may find half done.
        acknowledged = bool(request.acknowledged or not request.task.acks_late)
        row = {
            **self._row(request),
            "time_start": request.time_start,
            "runtime_seconds": rounded(age(accepted_at, now)),
            "limit_seconds": self._limit(request),
            "acknowledged": acknowledged,
        }
        if not acknowledged and isinstance(tag := request.message.delivery_tag, str):
            row["tag"] = short_tag(tag)
        return row

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
        task, whole = request.task, self._worker_limits
        limit: float | None = (
            hard or task.time_limit or whole.get("time_limit")
            or soft or task.soft_time_limit or whole.get("soft_time_limit")
        )  # fmt: skip
        return limit


def split(record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a verdict needs of a record, and the tasks one by one, which only people read.

    Their counts stand in both: the two are read at different moments.
    """
    rows = {key: record[key] for kind in KINDS for key in (kind, f"{kind}_count")}
    brief = {key: value for key, value in record.items() if key not in KINDS}
    active = [{key: row[key] for key in _JUDGED if key in row} for row in record["active"]]
    return {**brief, "active": active}, rows


def short_tag(tag: object) -> str:
    """Return a delivery tag as records hold it."""
    return str(tag)[:TAG_LENGTH].ljust(TAG_LENGTH)


def sane(value: object) -> str:
    """Return an id or a name as records hold it: of bounded length, and such that it can be encoded.

    The sender chose it; JSON escapes a lone surrogate that no reader can encode again.
    """
    text = str(value)
    if len(text) > MAX_NAME:
        text = f"{text[: MAX_NAME - 3]}..."
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def copied(source: Callable[[], Iterable[Any]]) -> list[Any]:
    """Return what `source()` yields, tried again when the worker changes it meanwhile."""
    for _ in range(5):
        try:
            return list(source())
        except RuntimeError:  # changed size during iteration
            continue
    return []


def any_runs() -> bool:
    """Say whether the worker runs a task now."""
    return bool(_members(worker_state.active_requests))


def running_count() -> int:
    """Return how many tasks the worker runs now, by what Celery keeps: some may have just ended."""
    return len(worker_state.active_requests)


def unacknowledged(consumer: Any) -> int:
    """Return how many messages the worker has taken and not yet acknowledged."""
    return len({id(request) for request in taken(consumer) if not request.acknowledged})


def taken(consumer: Any) -> list[Any]:
    """Return the requests that the worker has taken, those that run among them."""
    return [*_members(worker_state.reserved_requests), *_rate_limited(consumer), *_scheduled(consumer)]


def _is_over(request: Any) -> bool:
    # Celery keeps some that have ended: a task in the threads pool that called sys.exit, for one.
    return getattr(request, "health_outcome", None) is not None


def _members(requests: Any, most: int | None = None) -> list[Any]:
    """Return what is alive in a WeakSet that the main thread changes, or of `most` of it."""
    # Copying a set of weak references runs no Python code, so nothing can change it meanwhile.
    references = islice(requests.data.copy(), most)
    return [request for reference in references if (request := reference()) is not None]


def _counts(*groups: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for group in groups:
        for queue, requests in group.items():
            counts[queue] = counts.get(queue, 0) + len(requests)
    return counts


def _rate_limited(consumer: Any) -> list[Any]:
    """Return what waits for its rate limit: taken from the queue, and in none of Celery's sets."""
    buckets: Any = getattr(consumer, "task_buckets", None) or {}
    limited = [bucket.contents for bucket in copied(buckets.values) if bucket is not None]
    return [item[0] for contents in limited for item in copied(partial(iter, contents))]


def _scheduled(consumer: Any) -> Sequence[Any]:
    """Return the tasks that wait for their ETA."""
    scheduled = getattr(worker_state, "scheduled_requests", None)
    if scheduled is not None:
        return _members(scheduled)
    # Before Celery 5.6 they are only to be found among the timers, as celery/worker/control.py does.
    timer = getattr(consumer, "timer", None)
    queue = getattr(getattr(timer, "schedule", timer), "_queue", None) or ()
    found = []
    for item in copied(partial(iter, queue)):
        args = getattr(getattr(item, "entry", None), "args", None) or ()
        if args and hasattr(args[0], "request_dict"):
            found.append(args[0])
    return found
