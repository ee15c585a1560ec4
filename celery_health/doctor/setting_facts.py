"""What settings say, and how they are written. Frozen, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from celery_health.records import OptionNames


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
