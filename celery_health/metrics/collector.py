"""Shows totals and present facts as metrics: as text for our own view, as objects for any registry."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from celery_health import counters
from celery_health.counters import SUM, Cell, Family, decode
from celery_health.exceptions import CeleryHealthError, LateError
from celery_health.metrics.dialects import Row, Source, rows_of
from celery_health.metrics.exposition import Histogram, Labels, Shown, number, render
from celery_health.metrics.gauges import Facts, facts_of
from celery_health.reading import fields
from celery_health.records import HealthReport, Snapshot
from celery_health.store import skipped
from celery_health.store.base import StoreReading
from celery_health.text.masking import describe_error

logger = logging.getLogger(__name__)

#: Pairs of task and queue that begin at 0 though no route leads from one to the other.
MAX_ZERO_PAIRS: Final = 500
#: What a route says in `QueueState.expected_by`.
_TASK_REASON: Final = "task:"
_BUILT_IN: Final = "celery."
_COUNTED_BY_TASK: Final = (
    counters.RECEIVED, counters.STARTED, counters.SUCCEEDED, counters.RETRIED, counters.REJECTED,
    counters.REVOKED, counters.EXPIRED, counters.KILLED, counters.SENT,
)  # fmt: skip
_CAPPED_LABELS: Final = ("name", "queue_name", "exception", "store")


Custom = tuple[tuple[str, str], ...]
#: Name of a family to labels, part, value and opted-in labels of each of its totals.
_Cells = dict[str, list[tuple[Labels, str | None, int, Custom]]]


class CeleryHealthCollector(Collector):
    """Makes the metrics of one app out of one reading of the store and one report.

    Counters are shown only from a store that answers and is not behind what was shown before: a dent would
    make ``rate()`` invent what it had lost. A store that is behind is told to start all totals again.
    """

    def __init__(
        self,
        *,
        report: Callable[[], HealthReport],
        reading: Callable[[], StoreReading | None],
        reset_if_behind: Callable[[int, int], object],
        dialects: Sequence[str] = ("exporter",),
        namespace: str = "celery",
        max_age_seconds: float = 1.0,
    ) -> None:
        """Take what to ask.

        Args:
            report: the verdict; whatever it raises is shown as ``celery_health_up 0``.
            reading: the store with totals; None without a store, `StoreError` when it does not answer.
            reset_if_behind: of the store; takes the epoch and the version last seen.
            dialects: names of METRICS_DIALECTS.
            namespace: METRICS_NAMESPACE.
            max_age_seconds: how long a reading of the store, or its failure, serves all who scrape.
        """
        self._report = report
        self._reading = reading
        self._reset_if_behind = reset_if_behind
        self._rows = rows_of(dialects, namespace)
        self._max_age_seconds = max_age_seconds
        self._lock = threading.Lock()
        self._seen = (0, 0)
        self._kept: tuple[float, StoreReading | None, bool | None] | None = None
        self._cells: dict[str, Cell | None] = {}

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples and without asking anybody: registries call it at start."""
        return [_metric(row) for row in self._rows]

    def collect(self) -> Iterator[Metric]:
        """Return the metrics with their samples, for a prometheus_client registry."""
        for shown in self._shown():
            yield _filled(shown)

    def render(self, openmetrics: bool = False) -> bytes:
        """Return the answer to a scrape, in the text format or as OpenMetrics."""
        return render(self._shown(), openmetrics=openmetrics)

    def _shown(self) -> list[Shown]:
        report = self._current_report()
        reading, is_up = self._current_reading()
        facts = facts_of(report, reading)
        if is_up is not None:
            facts["celery_health_store_up"] = {(): float(is_up)}
        cells: _Cells = {}
        if reading is not None and reading.totals is not None:
            cells = self._by_family(reading.totals)
            for family, labels in _zeros(report.snapshot if report else None, reading):
                cells.setdefault(family.name, []).append((labels, None, 0, ()))
        # What this process could not read of the store; what others caught stands in its totals.
        for where, count in skipped.counted().items():
            errors = cells.setdefault(counters.INTERNAL_ERRORS.name, [])
            errors.append(((where,), None, count, ()))
        return [_show(row, cells, facts) for row in self._rows]

    def _current_report(self) -> HealthReport | None:
        try:
            return self._report()
        except Exception as error:  # a scrape always answers; what it lacks says what is wrong
            logger.warning("No report for the metrics: %s", describe_error(error))
            return None

    def _current_reading(self) -> tuple[StoreReading | None, bool | None]:
        """Return the reading and whether the store is up; None and None without a store."""
        # One at a time: readings that overtake each other would look like a store that went back.
        with self._lock:
            if self._kept is None or monotonic() - self._kept[0] >= self._max_age_seconds:
                reading, is_up = self._new_reading()
                self._kept = monotonic(), reading, is_up
            return self._kept[1:]

    def _new_reading(self) -> tuple[StoreReading | None, bool | None]:
        try:
            reading = self._reading()
            if reading is not None and (reading.epoch, reading.version) < self._seen:
                self._reset_if_behind(*self._seen)
                reading = self._reading()
        except LateError as error:  # by this process itself, which says nothing of the store
            logger.warning("No totals for the metrics: %s", error)
            return None, None
        except CeleryHealthError as error:
            logger.warning("No totals for the metrics: %s", error)
            return None, False
        if reading is None:
            return None, None
        if (reading.epoch, reading.version) < self._seen:
            return None, False
        self._seen = reading.epoch, reading.version
        return reading, True

    def _by_family(self, totals: Mapping[str, int]) -> _Cells:
        known = self._cells
        if len(known) > 2 * len(totals) + 1_000:  # of an epoch that is gone
            known = self._cells = {}
        found: _Cells = {family: [] for family in counters.FAMILIES}
        for field, value in totals.items():
            try:
                cell = known[field]
            except KeyError:
                cell = known[field] = decode(field)
            if cell is not None:
                family, labels, part, custom = cell
                found[family.name].append((labels, part, value, custom))
        return found


def _zeros(snapshot: Snapshot | None, reading: StoreReading) -> Iterator[tuple[Family, Labels]]:
    """Return the counters that exist before anything is counted: ``increase()`` misses a birth at 3."""
    for label in _CAPPED_LABELS:
        yield counters.LABEL_OVERFLOW, (label,)
    routed: set[Labels] = set()
    for queue in snapshot.queues if snapshot else ():
        for reason in queue.expected_by:
            if reason.startswith(_TASK_REASON):
                routed.add((reason.removeprefix(_TASK_REASON), queue.name))
    has_route = {name for name, _ in routed}
    registered: set[Labels] = set()
    # Hundreds of workers are of a few sorts.
    sorts = {
        (fields.name(worker.record.get("fingerprint")), queue)
        for worker in reading.workers
        for queue in fields.names(worker.record.get("queues")) or ()
    }
    for fingerprint, queue_name in sorts:
        for name in reading.registered.get(fingerprint, ()):
            if name not in has_route and not name.startswith(_BUILT_IN):
                registered.add((name, queue_name))
    if len(registered) > MAX_ZERO_PAIRS:
        registered = set()
    for pair in routed | registered:
        for family in _COUNTED_BY_TASK:
            yield family, pair


def _show(row: Row, cells: _Cells, facts: Facts) -> Shown:
    if row.kind == "gauge":
        return Shown(row=row, values=facts.get(row.fact or row.name, {}), histograms={})
    if row.kind == "counter":
        return _counter(row, cells)
    (source,) = row.sources
    return Shown(
        row=row,
        values={},
        histograms=_histograms(source, cells.get(source.family.name, ())),
        edges=source.family.buckets,
    )


def _counter(row: Row, cells: _Cells) -> Shown:
    own = _own_labels(row, cells)
    values: dict[Labels, float] = {}
    for source in row.sources:
        pick = _picker(source)
        for labels, _, value, custom in cells.get(source.family.name, ()):
            key = pick(labels)
            if own:
                given = dict(custom)
                key = (*key, *(given.get(name, "") for name in own))
            values[key] = values.get(key, 0) + value
    shown = replace(row, labels=(*row.labels, *own)) if own else row
    return Shown(row=shown, values=values, histograms={}, optional=len(own))


def _own_labels(row: Row, cells: _Cells) -> Labels:
    """Return the names of the labels that the project opted in, as far as anything was counted with them."""
    if not row.takes_custom:
        return ()
    names = {
        name
        for source in row.sources
        for _, _, _, custom in cells.get(source.family.name, ())
        for name, _ in custom
    }
    return tuple(sorted(names - {*row.labels}))


def _picker(source: Source) -> Callable[[Labels], Labels]:
    """Return what makes a metric's label values of a family's."""
    if source.labels == source.family.labels and not source.constants:
        return lambda labels: labels
    places = [source.family.labels.index(label) for label in source.labels]
    constants = source.constants
    return lambda labels: (*(labels[place] for place in places), *constants)


def _histograms(
    source: Source, cells: Iterable[tuple[Labels, str | None, int, Custom]]
) -> dict[Labels, Histogram]:
    pick = _picker(source)
    width = len(source.family.buckets) + 1
    counts: dict[Labels, list[int]] = {}
    sums: dict[Labels, int] = {}
    for labels, part, value, _ in cells:
        key = pick(labels)
        if part == SUM:
            sums[key] = sums.get(key, 0) + value
        elif part is not None:
            if key not in counts:
                counts[key] = [0] * width
            counts[key][int(part)] += value
    return {key: Histogram(found, sums.get(key, 0) / 1e6) for key, found in counts.items()}


def _metric(row: Row) -> Metric:
    name = row.name.removesuffix("_total") if row.kind == "counter" else row.name
    return Metric(name, row.help, row.kind)


def _filled(shown: Shown) -> Metric:
    row, metric = shown.row, _metric(shown.row)
    add: Any = metric.add_sample
    for labels, value in sorted(shown.values.items()):
        named = dict(zip(row.labels, labels, strict=True))
        add(row.name, {name: text for name, text in named.items() if text or name not in shown.own}, value)
    for labels, histogram in sorted(shown.histograms.items(), key=lambda item: item[0]):
        named = dict(zip(row.labels, labels, strict=True))
        total = 0
        for edge, count in zip((*shown.edges, float("inf")), histogram.cells, strict=True):
            total += count
            add(f"{row.name}_bucket", {**named, "le": number(edge)}, total)
        add(f"{row.name}_count", named, total)
        add(f"{row.name}_sum", named, histogram.sum_seconds)
    return metric
