"""What can be set: the keys of ``CELERY_HEALTH`` as frozen dataclasses, with their defaults and units."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

PROBE_DIR_VARIABLE: Final = "CELERY_HEALTH_PROBE_DIR"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The numbers of the verdict. Durations are seconds."""

    worker_lost_seconds: float = 30
    """A worker whose last record is older than this is lost."""
    restart_grace_seconds: float = 30
    """How long no worker may be there after all said goodbye."""
    lost_worker_memory_seconds: float = 600
    """How long a worker that vanished without a goodbye is reported."""
    lost_seconds: float = 60
    """How long ago a message that nobody holds must have been taken from its queue."""
    start_seconds: float = 120
    """How long there may be nobody but workers that start, and are not ready yet."""
    restarts_per_hour: float = 5
    """How often processes of one worker's name may end without having been told to, and be started again."""
    not_consuming_seconds: float = 60
    """How long a worker may read nothing from the broker while it is neither full, busy nor draining."""
    children_restarts_per_minute: float = 10
    """Pool processes replaced in a minute, those of ``max_tasks_per_child`` left out."""
    childless_seconds: float = 30
    """How long a worker may have no live pool process: the next one is forked within seconds."""
    loop_stuck_seconds: float = 60
    """How long a worker's event loop may stand still."""
    unconsumed_seconds: float = 60
    """How long a queue may be without consumer."""
    stalled_seconds: float = 120
    """How long messages may wait while consumers with free slots take none."""
    depth: float = 1000
    """What waits of one queue: ready in the broker, or held by workers that could run it now."""
    age_seconds: float = 600
    """How long the oldest of that has waited: since it was published, or since its ETA."""
    failure_ratio: float = 0.5
    """Share of a task's runs that ended badly, from 0 to 1."""
    failure_floor: float = 10
    """Runs of a task below which its failure ratio says nothing."""
    failure_streak: float = 5
    """Runs of a task in a row that ended badly, whenever they were."""
    streak_memory_seconds: float = 86400
    """How long such a row is remembered after its last run, and an hour more; at most a week."""
    autoretry_attempts: float = 50
    """Retries by ``autoretry_for`` without a success, or attempts of one run without a limit of retries."""
    recent_seconds: float = 600
    """What "lately" means to tasks.unknown and tasks.failing; at most an hour."""
    stuck_factor: float = 3
    """Times the observed p99 after which a run without any declared limit is stuck."""
    stuck_samples: float = 20
    """Runs of a task below which its observed p99 says nothing."""
    stuck_floor_seconds: float = 300
    """Length of a run below which `stuck_factor` does not apply."""
    beat_lost_seconds: float = 120
    """How long beat may be gone or wedged."""
    beat_unseen_seconds: float = 600
    """How long a schedule may exist before no beat was ever seen."""
    beat_doubled_seconds: float = 60
    """Two beats that both sent within this time are one too many."""
    overdue_floor_seconds: float = 60
    """The least time after which a schedule entry is overdue."""
    overdue_seconds: float = 600
    """The most time after which a schedule entry is overdue; between the two its interval decides."""
    dead_letters: float = 100
    """Dead letters in one queue."""


#: The verdict's checks, as the contract names them.
CHECK_IDS: Final = (
    "broker.reachable", "broker.writable",
    "workers.alive", "workers.consuming", "workers.pool",
    "queues.consumed", "queues.stalled", "queues.depth", "queues.age",
    "tasks.unknown", "tasks.failing", "tasks.stuck", "tasks.lost",
    "beat.alive", "beat.on_time",
    "dead_letters.size",
    "store.reachable", "results.reachable",
)  # fmt: skip
#: Limits that make sense for one queue, and for one task.
QUEUE_LIMITS: Final = ("depth", "age_seconds", "unconsumed_seconds", "stalled_seconds", "dead_letters")
TASK_LIMITS: Final = (
    "failure_ratio", "failure_floor", "failure_streak", "streak_memory_seconds", "autoretry_attempts",
    "stuck_factor", "stuck_samples", "stuck_floor_seconds",
)  # fmt: skip
SEVERITIES: Final = ("fail", "warn", "off")
HEALTH_DETAILS: Final = ("always", "staff")
PERMISSION_KEYS: Final = ("health", "metrics", "read", "page", "write")
DIALECTS: Final = ("exporter", "background_job", "task_status")
#: Those that show the metric labels that a project opts in.
LABELLED_DIALECTS: Final = ("background_job",)

DEFAULT_PERMISSIONS: Final = MappingProxyType(
    {
        "health": "rest_framework.permissions.AllowAny",
        "metrics": "rest_framework.permissions.AllowAny",
        "read": "rest_framework.permissions.IsAdminUser",
        "page": "rest_framework.permissions.IsAdminUser",
        "write": "celery_health.api.permissions.IsSuperuser",
    }
)

#: Names of arguments, anywhere in their text, whose values are never shown.
DEFAULT_REDACT: Final = (
    "password", "passwd", "pwd", "secret", "token", "api_key", "apikey", "access_key", "private_key",
    "authorization", "credential", "session", "cookie", "card_number", "cvv", "ssn",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterSettings:
    """Where dead letters go, and how many."""

    enabled: bool = False
    """Capture what fails for good, for every task that does not say otherwise."""
    suffix: str = ".dead"
    """What the dead letters' queue adds to the queue's name."""
    max_length: int = 10000
    """Letters kept per queue; the oldest goes first, and is counted."""
    max_redeliveries: int = 10
    """How often a message may go back because its process was killed (``reject_on_worker_lost``)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSettings:
    """One opted-in metric label."""

    max_values: int = 100
    """Distinct values over all workers; the next becomes ``other``."""
    values: tuple[str, ...] | None = None
    """The allowed values; None for the first `max_values` seen."""
    source: Callable[..., object] | str | None = None
    """A parameter's name, or a callable of the task's args and kwargs; None for the label's own name."""


#: What of ``TASKS`` says from when on a run is too long.
_STUCK: Final = ("expected", "stuck_floor_seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``CELERY_HEALTH``, parsed. Attribute names are the keys in lower case; durations are seconds."""

    celery_app: str | None = None
    """``"proj.celery:app"``; None for the configured current app."""
    app_id: str | None = None
    """What keeps this app apart from others on the same broker; None for the app's own name."""
    store_url: str | None = None
    """None for the broker's or the result backend's Redis."""
    store_prefix: str | None = None
    """Start of every key; None for the broker's ``global_keyprefix`` + ``celery_health:<APP_ID>:``."""
    deadline: float = 2.0
    """Seconds within which every question is answered."""
    heartbeat_interval: float = 5.0
    """Seconds between a worker's records."""
    flush_interval: float = 1.0
    """Seconds between two batches of counts."""
    monitor_all_tasks: bool = True
    """False: only tasks with `MonitoredTask` or `monitor_task` are counted."""
    min_workers: int = 1
    """Live workers below which the verdict is degraded; 0 where scaling to zero is normal."""
    expected_queues: tuple[str, ...] = ()
    """Queues that somebody should consume, besides those that schedule and tasks imply."""
    ignored_queues: tuple[str, ...] = ()
    """Queues that nobody need consume, whatever implies them."""
    expect_beat: bool | None = None
    """None: a beat is expected if there is a schedule."""
    limits: Limits = field(default_factory=Limits)
    """The numbers of the verdict."""
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Per queue: its own limits, and ``scale_to_zero``."""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Per task: its own limits, and ``expected`` seconds of a run."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """Per check: ``fail``, ``warn`` or ``off``."""
    silenced: tuple[str, ...] = ()
    """Doctor findings to leave out: ``W203``, ``W203:queue:legacy``."""
    health_details: str = "always"
    """``staff``: anonymous callers see statuses only."""
    permissions: Mapping[str, str] = field(default_factory=lambda: DEFAULT_PERMISSIONS)
    """Per group of endpoints: the dotted path of a DRF permission class."""
    metrics_dialects: tuple[str, ...] = ("exporter",)
    """Which families of metric names are served."""
    metrics_namespace: str = "celery"
    """What the ``background_job`` names start with."""
    labels: Mapping[str, LabelSettings] = field(default_factory=dict)
    """Metric labels opted in for every task."""
    show_arguments: bool = False
    """Show tasks' arguments, redacted."""
    redact: tuple[str, ...] = DEFAULT_REDACT
    """Names of arguments, anywhere in their text, whose values are never shown."""
    dead_letters: DeadLetterSettings = field(default_factory=DeadLetterSettings)
    """Where dead letters go, and how many."""
    probe_dir: str | None = None
    """None: CELERY_HEALTH_PROBE_DIR, else the temporary folder."""

    def limit(self, name: str, *, queue: str | None = None, task: str | None = None) -> float:
        """Return the limit `name`: the one set for this queue or task, else the global one."""
        special = self.queues.get(queue, {}) if queue is not None else self.tasks.get(task or "", {})
        value: float = special.get(name, getattr(self.limits, name))
        return value

    @property
    def least_stuck_seconds(self) -> float:
        """Return the shortest run that may be called stuck, of any task that names no limit of its own."""
        own = [task[name] for task in self.tasks.values() for name in _STUCK if task.get(name) is not None]
        return float(min([self.limits.stuck_floor_seconds, *own]))

    def scales_to_zero(self, queue: str) -> bool:
        """Say whether a queue may be without consumers while it is empty."""
        return bool(self.queues.get(queue, {}).get("scale_to_zero", False))

    @property
    def shows_labels(self) -> bool:
        """Say whether a dialect that is served shows the metric labels that the project opts in."""
        return not frozenset(self.metrics_dialects).isdisjoint(LABELLED_DIALECTS)

    @property
    def probe_directory(self) -> str:
        """Return the folder of the liveness files."""
        return self.probe_dir or os.environ.get(PROBE_DIR_VARIABLE) or tempfile.gettempdir()
