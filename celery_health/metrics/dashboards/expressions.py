"""The expressions that the dashboards share: each shows one thing once, however many replicas serve it."""

from __future__ import annotations

from typing import Final

from celery_health.metrics.dashboards.grafana import Variable
from celery_health.metrics.promql import Scope, names

#: Of the variables that all dashboards have.
SCOPE: Final = Scope(matchers='job=~"$job",namespace=~"$namespace"')
VARIABLES: Final = (
    Variable(name="job", label="Job", metric="celery_health_up", of="job"),
    Variable(name="namespace", label="Namespace", metric='celery_health_up{job=~"$job"}', of="namespace"),
)
QUEUE: Final = 'queue_name=~"$queue"'
TASK: Final = 'name=~"$task"'
#: Labels of the counters and histograms of tasks.
TASK_LABELS: Final = ("name", "queue_name")
#: At least four scrapes, whatever the zoom: Grafana's own.
RECENTLY: Final = "$__rate_interval"
#: What is shown on the page.
SHOWN: Final = "$__range"


def gauge(metric: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return a gauge, by its own labels."""
    return SCOPE.gauge(metric, *matchers, by=by)


def summed(metric: str, *matchers: str, of: tuple[str, ...], by: tuple[str, ...] = ()) -> str:
    """Return a gauge with the labels `of`, summed over those that are not in `by`."""
    return f"sum by ({names(by)}) ({gauge(metric, *matchers, by=of)})"


def rate(
    metric: str,
    *matchers: str,
    by: tuple[str, ...] = (),
    of: tuple[str, ...] = TASK_LABELS,
    window: str = RECENTLY,
    function: str = "rate",
) -> str:
    """Return how fast a counter with the labels `of` grows, by some of them."""
    grown = f"{function}({SCOPE.select(metric, *matchers)}[{window}])"
    return f"sum by ({names(by)}) (max by ({names(of)}) ({grown}))"


def quantile(q: float, metric: str, *matchers: str, by: tuple[str, ...] = (), window: str = RECENTLY) -> str:
    """Return a quantile of a histogram of tasks."""
    grown = f"rate({SCOPE.select(f'{metric}_bucket', *matchers)}[{window}])"
    once = f"max by ({names((*TASK_LABELS, 'le'))}) ({grown})"
    return f"histogram_quantile({q}, sum by ({names((*by, 'le'))}) ({once}))"


def or_none(expr: str, watched: str = "celery_health_store_up") -> str:
    """Return `expr`, and 0 where it has no series though somebody looks.

    A counter is born at its first event.

    Args:
        expr: by no label.
        watched: a gauge that is 1 where somebody looks.
    """
    return f"{expr} or {gauge(watched)} * 0"


def share(part: str, whole: str) -> str:
    """Return a share; nothing where there is no whole."""
    return f"({part}) / ({whole} > 0)"
