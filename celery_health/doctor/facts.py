"""What code and settings say: tasks, entries, queues, routes, configuration. Frozen, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery_health.records import OptionNames
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
class ConfFacts:
    """What ``app.conf`` effectively holds: judged instead of names in settings, which may not count."""

    broker_is_set: bool = True
    """Somebody said where the broker is; else it is Celery's default."""

    always_eager: bool = False
    acks_late: bool = False
    """``task_acks_late``: of all tasks that do not say otherwise."""
    default_queue: str = "celery"
    declares_queues: bool = False
    """``task_queues`` is set."""
    creates_missing_queues: bool = True
    default_priority: int | None = None
    task_serializer: str = "json"
    result_serializer: str = "json"
    accepted: frozenset[str] = frozenset({"json"})
    """Names of the serializers whose content workers accept."""
    accepted_results: frozenset[str] = frozenset({"json"})
    known_serializers: frozenset[str] = frozenset({"json", "pickle", "yaml", "msgpack", "raw"})
    """Names that kombu can encode with here."""
    task_time_limit_seconds: float | None = None
    task_soft_time_limit_seconds: float | None = None
    prefetch_multiplier: int = 4
    visibility_timeout_seconds: float | None = None
    """Of transports that have one; None elsewhere."""
    socket_timeout_seconds: float | None = None
    confirms_publishes: bool = False
    """``broker_transport_options["confirm_publish"]``."""
    result_backend: str | None = None
    """The scheme of its URL, or its name; None without one."""
    result_expires_seconds: float | None = 86400.0
    """None or 0: never."""
    ignores_results: bool = False
    beat_scheduler: str = "celery.beat:PersistentScheduler"
    timezone: str = "UTC"
    timezone_is_explicit: bool = False
    timezone_differs: bool = False
    """From Django's: the two zones have different clocks at some time of the year."""
    publishes_elsewhere: bool = False
    """``broker_write_url`` and ``broker_read_url`` differ."""
    connection_retry: bool = True
    """``broker_connection_retry``."""
    is_startup_retry_set: bool = False
    """``broker_connection_retry_on_startup`` is set, to whatever."""
    is_cancel_on_loss_set: bool = False
    """``worker_cancel_long_running_tasks_on_connection_loss`` is set, to whatever."""
    has_transport_options: bool = False
    """``broker_transport_options`` is set."""
    form_of_routes: str = ""
    """``dict``, ``list`` (a tuple too) or ``one``, a router; empty without ``task_routes``."""
    has_annotations: bool = False
    """``task_annotations`` is set."""
    most_tasks_per_child: int | None = None
    """``worker_max_tasks_per_child``."""
    most_memory_per_child: int | None = None
    """``worker_max_memory_per_child``, kB."""
    rejects_on_lost: bool = False
    """``task_reject_on_worker_lost``."""
    option_against_timeout_acks: str | None = None
    """The option that is off, and has runs over their time limit delivered again; None when none is."""
    option_for_timeout_acks: str = "task_acks_on_failure_or_timeout"
    """The option that turns that on again, of this version of Celery."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IgnoredSetting:
    """A name in Django's settings that looks like Celery's, and that ``app.conf`` does not follow."""

    name: str
    key: str
    """The option of Celery that it means."""
    right_name: str
    """The name under which this app would read it."""
    also_changes: tuple[str, ...] = ()
    """Other options that would change by that name."""
    is_assigned: bool = False
    """Assigned on ``app.conf`` (``app.conf.x = ...``), not in Django's settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MisspeltSetting:
    """A name that nobody reads, and that is nearly one of Celery's, or of `celery_health`."""

    name: str
    keys: tuple[str, ...]
    """The options that may be meant; of ``CELERY_HEALTH``, itself or a key of it."""
    right_names: tuple[str, ...]
    """The names under which they would be read here."""
    where: str | None = None
    """The module that the app is configured by; None for Django's settings, and ``app.conf``."""
    is_key: bool = False
    """It stands beside ``CELERY_HEALTH``, whose key it should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DjangoFacts:
    """What Django's settings say."""

    debug: bool = False
    time_zone: str | None = None
    is_testing: bool = False
    namespace: str | None = None
    """Of ``config_from_object``; None: names are used as they are."""
    reads_django_settings: bool = True
    """The app takes its configuration from them."""
    ignored: tuple[IgnoredSetting, ...] = ()
    misspelt: tuple[MisspeltSetting, ...] = ()
    """Names that nobody reads, and that are nearly right."""
    has_health_setting: bool = False
    """``CELERY_HEALTH`` is set."""
    options: OptionNames = field(default_factory=OptionNames)
    """How the project writes the options of its app."""
    reads_nothing: bool = False
    """The app takes its configuration from nowhere: it has what was assigned on it."""
    assigned: frozenset[str] = frozenset()
    """Options that were assigned on ``app.conf``, and count."""
    lost_with_namespace: Mapping[str, str] = field(default_factory=dict)
    """Names that count, and would not under the namespace ``CELERY`` → the names they would need there."""
    is_namespace_harmless: bool = True
    """With that namespace and those names, what has no effect now would have it, and nothing else change."""
    ignored_routes: tuple[str, ...] = ()
    """Registered tasks that routes which have no effect would send somewhere."""
    old_names: Mapping[str, str] = field(default_factory=dict)
    """Names from before Celery 4 that count here → the option that each means."""
    masked_entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where a schedule stands → those of its entries that beat never sees."""
    schedule_source: str = "app.conf.beat_schedule"
    """Where the schedule stands that does count."""


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
