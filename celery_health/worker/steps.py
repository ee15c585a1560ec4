"""The bootsteps that bring a `WorkerMonitor` to life at the right moments of a worker's.

Their order matters: tasks must name our Request before Celery builds its strategies, threads start after
the pool has forked its processes, and the goodbye comes when the pool has delivered its last results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from celery import bootsteps
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from celery_health.conf import get_settings
from celery_health.headers import STATS_MARK
from celery_health.reporting.process import FAULTS, TOTALS, promise_agent
from celery_health.worker.crash import unhandled, worker_in
from celery_health.worker.monitor import WorkerMonitor

_monitors: WeakKeyDictionary[Any, WorkerMonitor] = WeakKeyDictionary()


def install(worker: Any) -> None:
    """Monitor `worker`, a WorkController that has not made its blueprints yet.

    Raises:
        ConfigurationError: the settings are wrong.
    """
    _monitors[worker] = WorkerMonitor(worker, settings=get_settings(), totals=TOTALS, faults=FAULTS)
    promise_agent()
    worker.app.steps["worker"].add(MonitorThreads)
    worker.app.steps["consumer"].add(MonitorConsumer)
    worker_ready.connect(_on_ready, weak=False, dispatch_uid="celery_health.ready")
    worker_shutting_down.connect(_on_shutting_down, weak=False, dispatch_uid="celery_health.draining")
    worker_shutdown.connect(_on_shutdown, weak=False, dispatch_uid="celery_health.shutdown")


def leave_unstarted() -> None:
    """Report a worker that an error ended while it was being made: nobody stops what was never started."""
    _guarded("steps.unstarted", _leave_unstarted)


def _leave_unstarted() -> None:
    error = unhandled()
    worker = None if error is None else worker_in(error)
    if error is None or worker is None:
        return
    if worker not in _monitors:
        # It ended before `worker_init`.
        _monitors[worker] = WorkerMonitor(worker, settings=get_settings(), totals=TOTALS, faults=FAULTS)
    _monitors[worker].finish(error)


def _guarded(where: str, step: Callable[..., None], *args: Any) -> None:
    try:
        step(*args)
    except Exception as error:
        FAULTS.caught(where, error)


def _on_ready(sender: Any, **kwargs: Any) -> None:
    monitor = _monitors.get(sender.controller)
    if monitor is not None:
        _guarded("steps.ready", monitor.ready)


def _on_shutting_down(sender: Any, **kwargs: Any) -> None:
    for monitor in list(_monitors.values()):
        if monitor.hostname == sender:
            _guarded("steps.draining", monitor.drain)


def _on_shutdown(sender: Any, **kwargs: Any) -> None:
    # Also where the worker never got to start its consumer, whose step would have said goodbye.
    monitor = _monitors.get(sender)
    if monitor is not None:
        _guarded("steps.shutdown", monitor.finish)


class MonitorThreads(bootsteps.StartStopStep):
    """A step of the worker: starts the threads, after the pool and before the consumer."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Start the threads."""
        monitor = _monitors.get(worker)
        if monitor is not None:
            _guarded("steps.start", monitor.start)


class MonitorConsumer(bootsteps.StartStopStep):
    """A step of the consumer: started again at each reconnect."""

    requires = ("celery.worker.consumer.tasks:Tasks", "celery.worker.consumer.control:Control")

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._monitor = _monitors.get(consumer.controller)
        if self._monitor is not None:
            _guarded("steps.prepare", self._monitor.prepare, consumer)

    def include_if(self, consumer: Any) -> bool:
        """Leave workers alone that are not monitored: another app's in the same process."""
        return self._monitor is not None

    def info(self, consumer: Any) -> dict[str, Any]:  # type: ignore[override] # Celery takes what it returns
        """Return what ``celery inspect stats`` says besides: that this worker can be asked for its record."""
        assert self._monitor is not None
        return {STATS_MARK: self._monitor.mark}

    def start(self, consumer: Any) -> None:
        """Watch the new connection."""
        assert self._monitor is not None
        _guarded("steps.attach", self._monitor.attach, consumer)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Watch the pool again, which has just forgotten us."""
        assert self._monitor is not None
        _guarded("steps.children", self._monitor.watch_children, consumer)

    def close(self, consumer: Any) -> None:
        """Note that the worker stops, by whatever way."""
        assert self._monitor is not None
        _guarded("steps.draining", self._monitor.close)

    def stop(self, consumer: Any) -> None:
        """Let go of a connection that is lost, or about to be closed."""
        assert self._monitor is not None
        _guarded("steps.detach", self._monitor.detach)

    def terminate(self, consumer: Any) -> None:
        """As `stop`, at a cold shutdown."""
        self.stop(consumer)

    def shutdown(self, consumer: Any) -> None:
        """Say goodbye: the pool has ended and delivered what it had."""
        assert self._monitor is not None
        _guarded("steps.shutdown", self._monitor.finish)
