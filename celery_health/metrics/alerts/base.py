"""What an alert is, and what all of them are made for: a project with its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from celery_health.conf.schema import Settings
from celery_health.metrics.dialects import rows_of
from celery_health.metrics.promql import Scope, equals, none_of
from celery_health.metrics.task_names import TaskNames, task_names

CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"
#: What a check's severity in CHECKS makes of its alerts.
_SEVERITIES: Final = {"fail": CRITICAL, "warn": WARNING}

MINUTE: Final = 60.0
HOUR: Final = 3600.0

#: What annotations put in: the value of the expression, as a number, a share or a length of time.
FOUND: Final = "{{ $value | humanize }}"
SHARE: Final = "{{ $value | humanizePercentage }}"
TIME: Final = "{{ $value | humanizeDuration }}"


def subject(label: str) -> str:
    """Return what puts the value of a label into an annotation."""
    return f"{{{{ $labels.{label} }}}}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One alerting rule."""

    name: str
    expr: str
    hold_seconds: float
    """How long it must hold: ``for`` in Prometheus."""
    severity: str
    summary: str
    """One sentence that names the subject."""
    check: str | None = None
    """The check of the verdict that says the same, and is switched off together with it."""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What tells it from others of its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One recording rule."""

    name: str
    expr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """What the rules are made for."""

    settings: Settings = field(default_factory=Settings)
    scope: Scope = field(default_factory=Scope)
    labels: tuple[str, ...] = ()
    """Every metric label that is opted in, by the settings or by a task."""
    expected: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Task → seconds that a run may take, as the tasks say themselves."""

    @property
    def tasks(self) -> TaskNames:
        """Return what the totals of tasks are called."""
        settings = self.settings
        return task_names(settings.metrics_dialects, settings.metrics_namespace, self.labels)

    @property
    def metrics(self) -> frozenset[str]:
        """Return the names of the metrics that are shown."""
        settings = self.settings
        return frozenset(row.name for row in rows_of(settings.metrics_dialects, settings.metrics_namespace))

    def increase(
        self, metric: str, *matchers: str, seconds: float, by: tuple[str, ...], of: tuple[str, ...]
    ) -> str:
        """Return how much a counter grew in the last `seconds`: see `Scope.increase`."""
        # Without the store no counter is shown: that they come back is no birth.
        up = "celery_health_store_up" if "celery_health_store_up" in self.metrics else None
        watched = self.watched(up, seconds)
        return self.scope.increase(metric, *matchers, seconds=seconds, by=by, of=of, watched=watched)

    def watched(self, up: str | None, seconds: float) -> str:
        """Return what holds of an app that was scraped `seconds` ago: by the metric `up`, or any total."""
        selector = self.scope.select(up) if up else self.scope.select(*self.tasks.succeeded)
        kept = self.scope.names()
        return f"max by ({kept}) ({selector} offset {self.scope.window(seconds)}){' == 1' if up else ''}"

    def wants(self, alert: Alert) -> bool:
        """Say whether the settings leave the alert on."""
        return self.settings.checks.get(alert.check or "") != "off"

    def as_set(self, alert: Alert) -> Alert:
        """Return the alert with the severity that CHECKS gives, if it gives one."""
        given = self.settings.checks.get(alert.check or "", "")
        # What is for information only says less than the check does.
        if alert.severity == INFO:
            return alert
        return replace(alert, severity=_SEVERITIES.get(given, alert.severity))

    def queues(self, limit: str, leave_out: Iterable[str] = ()) -> Iterator[tuple[str | None, str, float]]:
        """Yield queue, matcher and limit: first (None) for all queues without a limit of their own."""
        settings, without = self.settings, frozenset(leave_out)
        own = sorted(
            name for name, given in settings.queues.items() if limit in given and name not in without
        )
        yield None, none_of("queue_name", {*own, *without}), settings.limit(limit)
        for name in own:
            yield name, equals("queue_name", name), settings.limit(limit, queue=name)


Maker: TypeAlias = Callable[[Project], Iterator[Alert]]
"""What makes the alerts of one kind."""
Makers: TypeAlias = tuple[tuple[str | None, Maker], ...]
"""The metric without which a kind makes no sense, and what makes it."""


def any_of(parts: Iterable[str]) -> str:
    """Return an expression that holds where one of `parts` does."""
    return "\nor\n".join(parts)
