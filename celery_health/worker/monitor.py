"""One worker's monitoring, put together: what is recorded, the record, and the threads that report them."""

from __future__ import annotations

import atexit
from functools import partial
from time import monotonic
from typing import Any, Final

from celery.worker import state as worker_state

from celery_health.celery_app import app_id
from celery_health.conf import Settings
from celery_health.monitoring import is_monitored
from celery_health.reporting import process
from celery_health.reporting.agent import Agent, Report
from celery_health.reporting.broker_watch import BrokerWatch, is_late
from celery_health.reporting.faults import Faults
from celery_health.reporting.green_logs import LOGS
from celery_health.reporting.liveness import Liveness, LivenessFile, LivenessKeeper
from celery_health.reporting.totals import Totals
from celery_health.store.base import MissingQuestion
from celery_health.store.opening import open_store
from celery_health.worker import control, fingerprints
from celery_health.worker.clocks import Clocks
from celery_health.worker.composer import Composer
from celery_health.worker.crash import cause_of, crash
from celery_health.worker.given_up import GivenUp
from celery_health.worker.hearing import hear
from celery_health.worker.held import split
from celery_health.worker.labels.rules import LabelRules
from celery_health.worker.letters import DeadLetters
from celery_health.worker.messages import watch_refusals, watch_strategies
from celery_health.worker.misread import watch_misread
from celery_health.worker.pools import Children
from celery_health.worker.presence import Presence
from celery_health.worker.queues import QueueNames
from celery_health.worker.recorder import Identity, Recorder
from celery_health.worker.requests import MonitoredRequest, Recording
from celery_health.worker.restarts import Restarts
from celery_health.worker.results import watch_results

#: A consumer that should read, and has not for this long, does not count as consuming.
CONSUMING_SECONDS: Final = 30.0
#: Heartbeats without a record, after which the runs of another worker may be missing.
MISSING_HEARTBEATS: Final = 3


class WorkerMonitor:
    """Watches one Celery worker from its ``worker_init`` to its end."""

    def __init__(self, worker: Any, *, settings: Settings, totals: Totals, faults: Faults) -> None:
        self.hostname: str = worker.hostname
        self._app = worker.app
        self._settings = settings
        self._clocks = Clocks()
        self._queues = QueueNames()
        self._children = Children(faults)
        self._presence = Presence(worker.hostname)
        labels = LabelRules(settings, totals, faults)
        self._letters = DeadLetters(
            self._app, settings=settings, hostname=worker.hostname, totals=totals, faults=faults
        )
        self._restarts = Restarts()
        self._given_up = GivenUp()
        self._composer = Composer(
            Recording(
                totals=totals,
                queues=self._queues,
                faults=faults,
                letters=self._letters,
                troubles=process.TROUBLES,
                restarts=self._restarts,
                given_up=self._given_up,
            ),
            labels,
        )
        watch_results(process.TROUBLES, faults)
        self._recorder = Recorder(
            Identity(
                hostname=worker.hostname,
                app_id=app_id(self._app, settings),
                config=fingerprints.routing(self._app),
                broker=fingerprints.broker(self._app),
                limits={
                    # None of a worker that ends before it has taken its options.
                    "time_limit": getattr(worker, "time_limit", None),
                    "soft_time_limit": getattr(worker, "soft_time_limit", None),
                },
            ),
            settings=settings,
            clocks=self._clocks,
            queues=self._queues,
            children=self._children,
            presence=self._presence,
            restarts=self._restarts,
            given_up=self._given_up,
            faults=faults,
        )
        self._agent = Agent(
            kind="worker",
            name=worker.hostname,
            totals=totals,
            faults=faults,
            open_store=lambda: open_store(self._app, settings),
            subject=self,
            troubles=process.TROUBLES,
            clock=process.CLOCK,
            on_missing=self._restarts.take,
            flush_interval=settings.flush_interval,
            heartbeat_interval=settings.heartbeat_interval,
        )
        self._broker = BrokerWatch(self._app, faults)
        file = LivenessFile(settings.probe_directory, "worker", worker.hostname)
        self._keeper = LivenessKeeper(file, self.liveness, faults)
        self._registered: tuple[str, tuple[str, ...]] | None = None
        self._reported: tuple[object, ...] = ()
        self._finished = False
        control.register(self._recorder)

    # The worker's life, in its main thread ----------------------------------------------------------

    def prepare(self, consumer: Any) -> None:
        """Have everything counted that `consumer` will receive; before it builds its strategies."""
        self._recorder.consumer = consumer
        watch_strategies(consumer, self._composer, partial(is_monitored, settings=self._settings))
        watch_refusals(consumer, self._composer.recording)
        watch_misread(consumer, self._composer.recording)

    def start(self) -> None:
        """Begin: the pool has its processes, the consumer has no connection yet."""
        atexit.register(self.leave)
        self._keeper.start()
        self._agent.start()

    def attach(self, consumer: Any) -> None:
        """Watch a consumer that has just (re)connected."""
        self._registered = fingerprints.registered_names(consumer.app)
        self._recorder.fingerprint = self._registered[0]
        self._queues.attach(consumer)
        self._clocks.attach(consumer)
        self._recorder.attach()
        hear(consumer, process.TROUBLES)
        self.watch_children(consumer)
        # Last: it speaks to the broker, and may find the connection broken.
        self._presence.attach(consumer)
        self._agent.report_soon()

    def watch_children(self, consumer: Any) -> None:
        """Have the pool tell of processes that end."""
        self._children.watch(consumer.pool)

    def ready(self) -> None:
        """Note that the worker consumes for the first time."""
        self._clocks.begin()
        self._recorder.is_ready = True
        self._tell()

    def detach(self) -> None:
        """Note that the consumer has lost its connection, or stops."""
        self._clocks.detach()
        self._tell()

    def drain(self) -> None:
        """Note that the worker was told to stop. In a signal handler: sets flags and blocks nowhere."""
        self._recorder.draining = True
        self._tell()

    def close(self) -> None:
        """Note that the worker takes no more tasks; one that an error ends was not told to."""
        if crash() is None:
            self.drain()

    def finish(self, error: BaseException | None = None) -> None:
        """Say goodbye and flush: the pool has ended, and the worker is about to.

        A worker that an error ends, `error` or the one under way, says no goodbye: it is to be missed.
        """
        if self._finished:
            return
        self._finished = True
        error = crash() if error is None else error
        # Cold shutdowns end in SystemExit too.
        if error is not None and (isinstance(error, Exception) or not self._recorder.draining):
            self._recorder.ended_by = cause_of(error, self._app)
        self._recorder.goodbye = self._recorder.ended_by is None
        # First, so that what becomes of the letters is still counted.
        self._letters.writer.stop()
        self._letters.writer.wait()
        seconds = self._agent.finish_seconds
        deadline = monotonic() + seconds
        self._broker.forget()
        if self._recorder.goodbye or not self._agent.report_unstarted():
            self._agent.finish(seconds)
        self._keeper.finish(max(0.05, deadline - monotonic()))
        process.withdraw_agent()
        LOGS.drain()

    def leave(self) -> None:
        """Flush what ended after the goodbye, as tasks in threads may: the process ends."""
        self.finish()
        known = self._given_up.count
        for request in list(worker_state.active_requests):
            if isinstance(request, MonitoredRequest):
                request.health_abandon()
        self._letters.writer.flush_rest()
        self._agent.flush_rest(with_report=self._given_up.count != known)
        LOGS.drain()

    def _tell(self) -> None:
        self._keeper.write_soon()
        self._agent.report_soon()

    # What others ask --------------------------------------------------------------------------------

    @property
    def mark(self) -> dict[str, Any]:
        """Return who this is, for askers who do not know yet whether it keeps a record."""
        return self._recorder.mark

    def report(self) -> Report:
        """Return the whole state, for the store."""
        self._reported = self._state()
        record = self._recorder.record()
        consumed = tuple(record["queues"]) if self._is_consuming() else ()
        brief, rows = split(record)
        return Report(
            record=brief,
            rows=rows,
            registered=self._registered,
            consumed=consumed,
            start=self._recorder.start(),
            missing=MissingQuestion(
                silent_seconds=MISSING_HEARTBEATS * self._settings.heartbeat_interval,
                known=self._restarts.change,
            ),
        )

    def changed(self) -> bool:
        """Say whether something happened that should not wait for the next heartbeat."""
        return self._state() != self._reported

    def liveness(self) -> Liveness:
        """Return what the probe judges by."""
        recorder = self._recorder
        # Before asking whether it should turn: when a long task has just ended, that counts as a turn.
        turning = recorder.is_looping()
        now = monotonic()
        recorder.look(now)
        due = self._clocks.looped_at
        waiting = False
        if turning and due is not None and is_late(due, now):
            # Its loop hangs: in a connection that is dead, or with all the others while the broker is away.
            since = self._broker.blameless_since(due)
            waiting = since is None
            due = due if since is None else since
        else:
            self._broker.forget()
        if recorder.draining:
            state = "draining"
        elif not recorder.ready:
            state = "starting"
        elif not recorder.connected:
            state = "reconnecting"
        elif waiting:
            state = "waiting"
        else:
            state = "running" if turning else "busy"
        return Liveness(state=state, started=recorder.ready, turning=turning and not waiting, due=due)

    def _state(self) -> tuple[object, ...]:
        recorder = self._recorder
        return (
            recorder.consumed_queues(),
            recorder.connected,
            recorder.ready,
            recorder.draining,
            recorder.goodbye,
            self._given_up.count,
        )

    def _is_consuming(self) -> bool:
        """Say whether the worker really takes messages, or would if it had not its hands full."""
        recorder = self._recorder
        if not recorder.connected or recorder.draining or recorder.goodbye:
            return False
        unread = recorder.unread_seconds(monotonic())
        return unread is None or unread < CONSUMING_SECONDS
