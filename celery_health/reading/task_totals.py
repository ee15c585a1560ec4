"""The store's totals by task name, for people: counts, and how long runs take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from celery_health.counters import DURATION_BUCKETS, FAILED, OTHER, RECEIVED, RUNTIME, SENT, SUM, decode
from celery_health.records import ObservedRuntime


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskTotals:
    """Everything counted of one task since the totals began."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    runtime: ObservedRuntime | None = None
    """None while no run has ended."""
    sent_to: frozenset[str] = frozenset()
    """Queues where it was sent, as far as that was seen."""
    taken_from: frozenset[str] = frozenset()
    """Queues from which workers took it."""
    failed_from: frozenset[str] = frozenset()
    """Queues from which those runs were taken that failed for good."""


#: The same fields come again with each reading, and to take one apart takes longer than to find it again.
_decoded: Final = lru_cache(maxsize=10_000)(decode)


def totals_by_task(totals: Mapping[str, int]) -> Mapping[str, TaskTotals]:
    """Return task name → totals, over all queues and exceptions."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    cells: dict[str, list[int]] = {}
    queues: dict[str, dict[str, set[str]]] = {
        family.name: defaultdict(set) for family in (SENT, RECEIVED, FAILED)
    }
    for field, value in totals.items():
        cell = _decoded(field)
        if cell is None or "name" not in cell.family.labels:
            continue
        name = cell.labels[0]
        if cell.family is RUNTIME:
            if cell.part is not None and cell.part != SUM:
                cells.setdefault(name, [0] * (len(DURATION_BUCKETS) + 1))[int(cell.part)] += value
        elif cell.part is None:
            counts[name][cell.family.name] += value
            if cell.family in (SENT, RECEIVED, FAILED) and cell.labels[1] not in ("", OTHER):
                queues[cell.family.name][name].add(cell.labels[1])
    return {
        name: TaskTotals(
            started=counts[name]["started"],
            succeeded=counts[name]["succeeded"],
            failed=counts[name]["failed"],
            retried=counts[name]["retried"],
            runtime=observed_runtime(cells[name]) if name in cells else None,
            sent_to=frozenset(queues[SENT.name][name]),
            taken_from=frozenset(queues[RECEIVED.name][name]),
            failed_from=frozenset(queues[FAILED.name][name]),
        )
        for name in sorted({*counts, *cells})
    }


def observed_runtime(buckets: Sequence[int]) -> ObservedRuntime:
    """Return the quantiles of a histogram whose cells each count their own bucket."""
    samples = sum(buckets)
    return ObservedRuntime(
        samples=samples,
        p50_seconds=quantile(buckets, 0.50),
        p95_seconds=quantile(buckets, 0.95),
        p99_seconds=quantile(buckets, 0.99),
        measured_to_seconds=DURATION_BUCKETS[-1] if samples else None,
    )


def quantile(buckets: Sequence[int], q: float) -> float | None:
    """Estimate a quantile in seconds, as Prometheus' ``histogram_quantile`` does: linear within its bucket.

    None without samples, and in the last bucket, which has no upper edge: "at least so long" is no estimate.
    """
    total = sum(buckets)
    if not total:
        return None
    rank, below, lower = q * total, 0, 0.0
    for count, upper in zip(buckets, DURATION_BUCKETS, strict=False):
        if below + count >= rank and count:
            return lower + (upper - lower) * (rank - below) / count
        below += count
        lower = upper
    return None
