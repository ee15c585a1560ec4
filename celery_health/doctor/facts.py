"""What code says: tasks, entries, queues, routes, calls. Frozen, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery_health.topology import Binding, Destination


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFacts:
    """One registered task."""

    name: str
    module: str
    is_own: bool
    """Of the project or an installed app: not Celery's, not a library's (`topology.ownership`)."""
    is_editable: bool = True
    """Its file is the project's to change: no installed package's."""
    expects_consumer: bool = True
    """Somebody should consume its queue, though nothing shows that it is sent."""
    destination: Destination | None = None
    """Where it goes when it is sent without options; None when its routing raises."""
    routing_error: str | None = None
    priority: int | None = None
    serializer: str | None = None
    acks_late: bool = False
    survives_lost_worker: bool = False
    """Sent again when its pool process is lost (``reject_on_worker_lost``, ``retry_on_worker_lost``)."""
    time_limit_seconds: float | None = None
    """The hard limit, its own or the app's; None without one."""
    soft_time_limit_seconds: float | None = None
    ignores_result: bool = False
    keeps_errors: bool = False
    """Of a task that ignores its result, errors are kept all the same."""
    acks_on_timeout: bool = True
    """With `acks_late`: a run that exceeds its hard time limit is done with, not delivered again."""
    rejects_on_lost: bool = False
    """``reject_on_worker_lost``, its own or the app's."""
    retries_on_lost: bool = False
    """``retry_on_worker_lost``, likewise."""
    retry_delay_seconds: float | None = None
    """How long each retry by ``autoretry_for`` waits; None without, and where waits grow."""
    longest_retry_seconds: float | None = None
    """The longest wait before a retry that its options ask for; None when it may retry by nothing of them."""
    expected_seconds: float | None = None
    """How long a run may take by its own word (``expected=``)."""
    queue_declaration: QueueFacts | None = None
    """The ``kombu.Queue`` that its options bring along."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of its attributes those that say how it is sent (``queue``, ``priority``, ...), as plain values."""
    route: Mapping[str, Any] = field(default_factory=dict)
    """What its route alone gives it, or a router that is code, as plain values."""
    call_error: str | None = None
    """Why each call of it raises."""
    expires_seconds: float | None = None
    """How long its messages are good for, by its own word."""
    rate_limit_per_second: float | None = None
    """How many of it one worker starts; None without a limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrontabFacts:
    """When a crontab is due, as sets of numbers."""

    minute: frozenset[int]
    hour: frozenset[int]
    day_of_week: frozenset[int]
    day_of_month: frozenset[int]
    month_of_year: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryFacts:
    """One entry of a schedule."""

    name: str
    source: str
    """``settings`` (``add_periodic_task`` included), ``django_celery_beat`` or ``redbeat``."""
    task: str
    schedule: str
    """For people."""
    interval_seconds: float | None = None
    """Between two runs; None for crontabs and others."""
    crontab: CrontabFacts | None = None
    destination: Destination | None = None
    routing_error: str | None = None
    misfit: str | None = None
    """Why its arguments do not fit the task's signature."""
    signature: str | None = None
    """``(days, recipient)``: what the task takes; told of a misfit alone."""
    option_names: tuple[str, ...] = ()
    countdown_seconds: float | None = None
    priority: int | None = None
    queue_declaration: QueueFacts | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """As plain values, without those that have none."""
    call_error: str | None = None
    """Why beat's sending raises, with these options."""
    expires_seconds: float | None = None
    """How long its messages are good for, by its own word; None of an ``expires`` that is a date."""
    copied_to: str | None = None
    """Of the settings: where beat keeps a copy of it, which says the same (a `source`)."""
    differs_in: str | None = None
    """Of the settings: where beat has another one of this name, which counts until it starts again."""
    is_overwritten: bool = False
    """Kept outside the settings, which have one of this name: beat writes that over this when it starts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFacts:
    """One declaration of a queue."""

    name: str
    where: str
    """``task_queues``, ``task_default_queue``, ``route 'x'``, ``task 'x'`` or ``beat entry 'x'``."""
    exchange: str
    exchange_type: str
    routing_key: str
    bindings: tuple[Binding, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """As the broker gets them: ``x-max-priority``, ``x-queue-type``, ..."""
    durable: bool = True
    auto_delete: bool = False
    is_bare: bool = False
    """It names no exchange and no key, and so has those of the default queue."""
    is_broadcast: bool = False
    """A ``kombu.common.Broadcast``: its `name` leads to it, whatever the broker calls it."""
    is_renamed: bool = False
    """Each process names it anew: `name` is the one for all, and leads to it where `is_broadcast` alone."""

    @property
    def is_quorum(self) -> bool:
        """Say whether it is a quorum queue."""
        return self.arguments.get("x-queue-type") == "quorum"

    @property
    def max_priority(self) -> int | None:
        """Return ``x-max-priority``, if it has one."""
        value = self.arguments.get("x-max-priority")
        return value if isinstance(value, int) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class CallFacts:
    """One call in the project's code that sends a task to a queue that it names."""

    place: str
    """``module:line``."""
    task: str
    options: Mapping[str, str]
    """As it is written, of those that say where the message goes."""
    destination: Destination


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteFacts:
    """One key of ``task_routes``."""

    key: str
    """As written; of a compiled pattern, its source."""
    router: int
    """Which router it belongs to, in the order in which they are asked."""
    is_pattern: bool
    target: str
    """What it gives, for people."""
    is_regex: bool = False
    """A compiled pattern; other patterns are texts with a ``*``."""
    lives_at: tuple[str, ...] = ()
    """Registered tasks with a name of their own whose dotted path it matches; told where it matches none."""
    is_editable: bool = True
    """The project can change it; told where it matches none: others stand in an installed package alone."""
    matches: tuple[str, ...] = ()
    """Registered tasks whose name it matches."""
    wins: tuple[str, ...] = ()
    """Those of `matches` that really go where it says."""
    beaten_by: Mapping[str, str] = field(default_factory=dict)
    """Another key → its target, of those that win a match of this one."""
    broader: tuple[str, ...] = ()
    """Those keys of `beaten_by` that match all that this one does, and more."""
    is_first_unsure: bool = False
    """A router before it is code: what comes of it cannot be told by keys."""
    option_names: tuple[str, ...] = ()
    priority: int | None = None
    queue_declaration: QueueFacts | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """As plain values, without those that have none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenName:
    """A task name that two functions ask for."""

    name: str
    kept: str
    """``module.function`` that the name reaches."""
    lost: tuple[str, ...]
    """Those that it does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnimportedTasks:
    """A module of the project that defines tasks and that a worker does not import."""

    module: str
    tasks: tuple[str, ...]
    """Names that its tasks would have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeFacts:
    """What the project's modules show."""

    taken: tuple[TakenName, ...] = ()
    imported_twice: tuple[tuple[str, ...], ...] = ()
    """Modules with tasks that are one file under several names."""
    unimported: tuple[UnimportedTasks, ...] = ()
    uses_chord: tuple[str, ...] = ()
    """Own modules that import ``chord``."""
    uses_async_result: tuple[str, ...] = ()
    unseen: str | None = None
    """Which tasks of workers cannot be known here, and why; None when all can be."""
    tasks_at: Mapping[str, str] = field(default_factory=dict)
    """Dotted path of an entry that names no task → the real name of the task that lives there."""
