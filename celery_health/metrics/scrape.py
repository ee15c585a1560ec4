"""What a scrape is answered, whoever serves it: one collector per process, the format and its packing.

The view and ``celery_health exporter`` stand on `answer`; a project that has a registry of its own stands on
`register`.
"""

from __future__ import annotations

import gzip
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from celery_health.deadline import Deadline
from celery_health.exceptions import ThreadError
from celery_health.health import get_report
from celery_health.metrics.collector import CeleryHealthCollector
from celery_health.metrics.exposition import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE
from celery_health.reading import get_reader
from celery_health.reading.checkout import Checkout
from celery_health.reading.flight import Run, SharedFlight
from celery_health.reading.reader import Reader
from celery_health.store import Store, StoreReading, open_store

logger = logging.getLogger("celery_health.metrics")

#: The parts of DEADLINE for the verdict and for the totals; what is left is for writing the answer.
REPORT_SHARE: Final = 0.55
TOTALS_SHARE: Final = 0.35

_OPENMETRICS: Final = ("application/openmetrics-text",)
_TEXT: Final = ("text/plain", "text/*", "*/*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scrape:
    """The answer to one scrape."""

    body: bytes
    headers: Mapping[str, str]


def answer(accept: str = "", accept_encoding: str = "") -> Scrape:
    """Return the metrics as one who sends these two headers wants them.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    openmetrics = _quality(accept, _OPENMETRICS) > 0 and (
        _quality(accept, _OPENMETRICS) >= _quality(accept, _TEXT[:1])
    )
    body = get_collector().render(openmetrics)
    headers = {
        "Content-Type": OPENMETRICS_CONTENT_TYPE if openmetrics else TEXT_CONTENT_TYPE,
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Encoding",
    }
    if _quality(accept_encoding, ("gzip",)) > 0:
        # Level 1: level 9 takes ten times as long for a tenth less.
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Scrape(body=body, headers={**headers, "Content-Length": str(len(body))})


def _quality(header: str, wanted: tuple[str, ...]) -> float:
    """Return the highest weight that an Accept header gives to one of `wanted`; 0.0 when it names none."""
    best = 0.0
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name in wanted:
            weights = [part[2:] for part in parameters if part.startswith("q=")]
            try:
                best = max(best, float(weights[-1]) if weights else 1.0)
            except ValueError:
                continue
    return best


# The collector of this process ---------------------------------------------------------------------------


class _Totals:
    """Reads the store of one app for the metrics, on connections of its own."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._seconds = reader.settings.deadline * TOTALS_SHARE
        self._stores = Checkout(lambda: open_store(reader.app, reader.settings), _close)
        # Not to share readings, which the collector does, but to leave behind a call that hangs.
        self._flight = SharedFlight(
            self._read, name="celery-health-metrics", run_seconds=self._seconds, max_age_seconds=0.0
        )

    def _read(self, run: Run) -> StoreReading | None:
        with self._stores.checked_out(run) as store:
            return None if store is None else store.read(run.deadline, totals=True)

    def read(self) -> StoreReading | None:
        """Return the store with its totals; None without a store, and where no thread could be started.

        Raises:
            LateError: this process was late itself.
            CeleryHealthError: it did not answer in time.
        """
        try:
            deadline = Deadline.after(self._seconds)
            self._reader.prepare(deadline)
            return self._flight.get(deadline)[0]
        except ThreadError as error:  # says nothing of the store
            logger.warning("No totals for the metrics: %s", error)
            return None

    def reset_if_behind(self, epoch: int, version: int) -> object:
        """Have the totals start again if the store is behind what was read from it before."""
        run = Run(Deadline.after(self._seconds))
        with self._stores.checked_out(run) as store:
            return None if store is None else store.reset_if_behind(epoch, version, run.deadline)

    def close(self) -> None:
        """Close the connection; a reading under way closes its own when it ends."""
        self._stores.close()


def _close(store: Store | None) -> None:
    if store is not None:
        store.close()


_made: tuple[Reader, _Totals, CeleryHealthCollector] | None = None
_lock = threading.Lock()


def get_collector() -> CeleryHealthCollector:
    """Return this process's collector of the configured app; a new one when the settings changed.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    global _made
    reader = get_reader()
    settings = reader.settings
    with _lock:
        if _made is None or _made[0] is not reader:
            if _made is not None:
                _made[1].close()
            totals = _Totals(reader)
            collector = CeleryHealthCollector(
                report=lambda: get_report(Deadline.after(settings.deadline * REPORT_SHARE)),
                reading=totals.read,
                reset_if_behind=totals.reset_if_behind,
                dialects=settings.metrics_dialects,
                namespace=settings.metrics_namespace,
            )
            _made = reader, totals, collector
        return _made[2]


class _Registered(Collector):
    """Stands in a registry for whatever `get_collector` returns when it is asked."""

    def describe(self) -> Iterable[Metric]:
        return get_collector().describe()

    def collect(self) -> Iterator[Metric]:
        return get_collector().collect()


def register(registry: CollectorRegistry = REGISTRY) -> Collector:
    """Put the metrics into a prometheus_client registry, and return what to unregister again.

    For projects that serve a registry already. It asks nobody anything until the registry is collected.
    Under ``PROMETHEUS_MULTIPROC_DIR`` a scrape is answered from files and asks no collector: serve
    ``metrics/`` or ``celery_health exporter`` instead.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
        ValueError: the registry has metrics of these names; it may be registered already.
    """
    collector = _Registered()
    registry.register(collector)
    return collector


def _after_fork() -> None:
    # The parent's sockets are not ours; its lock may be held for ever.
    global _made, _lock
    _made, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
