"""Writes metrics as Prometheus reads them: the text format and OpenMetrics.

By hand, since prometheus_client takes ten times as long over some thousand samples:
https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from celery_health.metrics.dialects import Row

TEXT_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """One series of a histogram."""

    cells: list[int]
    """Observations of each bucket alone; the last is what is over the last edge."""
    sum_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One metric with its samples."""

    row: Row
    values: Mapping[Labels, float]
    """Of a counter or gauge."""
    histograms: Mapping[Labels, Histogram]
    """Of a histogram."""
    edges: tuple[float, ...] = ()
    optional: int = 0
    """How many labels, at the end of the row's, are left out where they have no value."""

    @property
    def own(self) -> Labels:
        """Return the names of those labels."""
        return self.row.labels[len(self.row.labels) - self.optional :]


def render(metrics: Iterable[Shown], *, openmetrics: bool) -> bytes:
    """Return the whole answer to a scrape."""
    lines: list[str] = []
    for metric in metrics:
        row = metric.row
        # OpenMetrics names the family of a counter without the suffix of its sample.
        name = row.name.removesuffix("_total") if openmetrics and row.kind == "counter" else row.name
        lines.append(f"# HELP {name} {_escaped(row.help)}\n# TYPE {name} {row.kind}\n")
        if row.kind == "histogram":
            _write_histograms(lines, metric)
        else:
            shown = row.name
            for labels, value in sorted(metric.values.items()):
                names = row.labels
                if metric.optional:
                    names, labels = _with_values(names, labels, metric.optional)
                lines.append(f"{shown}{_braced(names, labels)} {number(value)}\n")
    if openmetrics:
        lines.append("# EOF\n")
    return "".join(lines).encode("utf-8", "replace")


def _write_histograms(lines: list[str], metric: Shown) -> None:
    name, names = metric.row.name, metric.row.labels
    edges = [f'le="{number(float(edge))}"}} ' for edge in (*metric.edges, float("inf"))]
    for labels, histogram in sorted(metric.histograms.items(), key=lambda item: item[0]):
        inside = ",".join(f'{key}="{_escaped(value)}"' for key, value in zip(names, labels, strict=True))
        before = f"{name}_bucket{{{inside}{',' if inside else ''}"
        total = 0
        for edge, count in zip(edges, histogram.cells, strict=True):
            total += count
            lines.append(f"{before}{edge}{total}\n")
        braced = f"{{{inside}}}" if inside else ""
        lines.append(f"{name}_sum{braced} {number(histogram.sum_seconds)}\n{name}_count{braced} {total}\n")


def number(value: float) -> str:
    """Return a number as the formats write it."""
    return "+Inf" if value == float("inf") else repr(value)


def _with_values(names: Labels, values: Labels, optional: int) -> tuple[Labels, Labels]:
    fixed = len(names) - optional
    kept = [place for place, value in enumerate(values) if value or place < fixed]
    return tuple(names[place] for place in kept), tuple(values[place] for place in kept)


def _braced(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    return (
        "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in zip(names, values, strict=True)) + "}"
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
