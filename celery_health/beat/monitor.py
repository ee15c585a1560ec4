"""One beat's monitoring, put together: what it notes, its record, and the threads that report them."""

from __future__ import annotations

import atexit
import logging
import os
import platform
import time
from time import monotonic
from typing import Any, Final

import celery
import kombu
from celery.signals import after_task_publish
from celery.utils.nodenames import gethostname

import celery_health
from celery_health.beat.book import Book
from celery_health.beat.sources import Heap, StoredSchedule, stored_schedule
from celery_health.beat.ticks import Ticks, is_ending_by_error
from celery_health.celery_app import app_id
from celery_health.conf import Settings
from celery_health.reporting import process
from celery_health.reporting.agent import Agent, Report
from celery_health.reporting.broker_watch import BrokerWatch, is_late
from celery_health.reporting.liveness import Liveness, LivenessFile, LivenessKeeper
from celery_health.reporting.native import Bell, start_daemon
from celery_health.store import open_store

logger = logging.getLogger("celery_health")

#: A schedule that lives outside is read anew this soon after something was sent, or beat read it itself.
REREAD_SECONDS: Final = 5.0


class BeatMonitor:
    """Watches one beat from its ``beat_init`` to its end."""

    def __init__(self, service: Any, *, settings: Settings) -> None:
        self._app = service.app
        self._scheduler = service.scheduler
        self._settings = settings
        self.name = f"celerybeat@{gethostname()}-{os.getpid()}"
        faults = self._faults = process.FAULTS
        self._started_at = monotonic()
        self._started_wall = time.time()
        self._ticks = Ticks(self._scheduler, faults, on_close=self.finish)
        self._heap = Heap(self._scheduler)
        self._book = Book(self._app, self._ticks, self._heap, faults)
        self._outside = Outside(self._app, self._ticks, self._heap, self._book, faults)
        self._agent = Agent(
            kind="beat",
            name=self.name,
            totals=process.TOTALS,
            faults=faults,
            open_store=lambda: open_store(self._app, settings),
            subject=self,
            troubles=process.TROUBLES,
            clock=process.CLOCK,
            flush_interval=settings.flush_interval,
            heartbeat_interval=settings.heartbeat_interval,
        )
        self._broker = BrokerWatch(self._app, faults)
        file = LivenessFile(settings.probe_directory, "beat", self.name)
        self._keeper = LivenessKeeper(file, self.liveness, faults)
        self._reported: tuple[object, ...] = ()
        self._goodbye = False
        self._ended_by_error = False
        self._finished = False

    # Beat's life, in its own thread

    def start(self) -> None:
        """Begin: the scheduler is made, and has not ticked."""
        process.promise_agent()
        self._ticks.attach()
        after_task_publish.connect(
            self._ticks.published, weak=False, dispatch_uid=f"celery_health.beat.{id(self)}"
        )
        atexit.register(self.finish)
        self._keeper.start()
        self._agent.start()
        self._outside.start()

    def finish(self) -> None:
        """Say goodbye and flush, within `finish_seconds`: beat closes its scheduler."""
        if self._finished:
            return
        self._finished = True
        # A beat that an error ends says no goodbye: it is to be missed.
        self._ended_by_error = is_ending_by_error()
        self._goodbye = not self._ended_by_error
        seconds = self._agent.finish_seconds
        deadline = monotonic() + seconds
        self._outside.stop()
        self._broker.forget()
        self._agent.finish(seconds)
        self._keeper.finish(max(0.05, deadline - monotonic()))
        process.withdraw_agent()

    # What the threads ask

    def report(self) -> Report:
        """Return the whole state, for the store."""
        self._reported = self._state()
        now = monotonic()
        ticks = self._ticks
        began, ended, due = ticks.began, ticks.ended, ticks.due
        due = began if began is not None else due
        rows = self._book.rows()
        return Report(
            record={
                "v": 1,
                "kind": "beat",
                "name": self.name,
                "pid": os.getpid(),
                "hostname": gethostname(),
                "app_id": app_id(self._app, self._settings),
                "scheduler": _qualified_name(type(self._scheduler)),
                "started_at": self._started_wall,
                "uptime_seconds": round(now - self._started_at, 1),
                "tick_age_seconds": None if ended is None else round(now - ended, 1),
                "due_in_seconds": None if due is None else round(due - now, 1),
                "lock": self.lock(),
                "last_sent_age_seconds": (
                    None if ticks.last_sent_at is None else round(now - ticks.last_sent_at, 1)
                ),
                "goodbye": self._goodbye,
                "ended_by_error": self._ended_by_error,
                "stored_outside": self._outside.exists,
                "entries": rows,
                "entries_total": self._book.total,
                "versions": {
                    "celery": celery.__version__,
                    "kombu": str(getattr(kombu, "__version__", "")),
                    "python": platform.python_version(),
                    "celery_health": celery_health.__version__,
                },
            },
            # Who waits for a lock sends nothing, and knows nothing of what is sent.
            entries=() if self.lock() == "waiting" else self._book.listed(),
        )

    def changed(self) -> bool:
        """Say whether something happened that should not wait for the next heartbeat."""
        return self._state() != self._reported

    def liveness(self) -> Liveness:
        """Return what the probe judges by."""
        ticks = self._ticks
        sending_since, began, due = ticks.sending_since, ticks.began, ticks.due
        if self.lock() == "waiting":
            return Liveness(state="standby", started=True, turning=False, due=None)
        if began is None and due is None:
            return Liveness(state="starting", started=True, turning=True, due=self._started_at)
        state, moved = "sleeping", due
        if began is not None:
            state, moved = "ticking", began
        if sending_since is not None:
            state, moved = "sending", sending_since
        if moved is None or not is_late(moved, monotonic()):
            self._broker.forget()
            return Liveness(state=state, started=True, turning=True, due=moved)
        # It hangs: in a connection that is dead, or with all the others while the broker is away. Also where
        # it does not send: RedBeat keeps its schedule there.
        stuck_since = self._broker.blameless_since(moved)
        if stuck_since is None:
            return Liveness(state="waiting", started=True, turning=False, due=moved)
        return Liveness(state=state, started=True, turning=True, due=stuck_since)

    def lock(self) -> str | None:
        """Return ``held`` or ``waiting`` for a scheduler with a lock, as RedBeat's; None for the others."""
        if not getattr(self._scheduler, "lock_key", None):
            return None
        return "waiting" if getattr(self._scheduler, "lock", None) is None else "held"

    def _state(self) -> tuple[object, ...]:
        sendings = self._ticks.entries.copy().values()
        failing = sum(1 for sending in sendings if sending.error is not None)
        # Of each entry the first time counts: of a beat that is killed soon, nothing else tells of it.
        done = sum(1 for sending in sendings if sending.settled_at is not None)
        return self._ticks.ended is None, self.lock(), failing, done, self._goodbye, self._ended_by_error


class Outside:
    """Reads a schedule that lives outside, which may take its time, in a thread of its own."""

    def __init__(self, app: Any, ticks: Ticks, heap: Heap, book: Book, faults: Any) -> None:
        self._app = app
        self._ticks = ticks
        self._heap = heap
        self._book = book
        self._faults = faults
        self._stored: StoredSchedule | None = stored_schedule(ticks.scheduler)
        self._seen: tuple[object, ...] = ()
        self._read_at: float | None = None
        self._bell = Bell()
        self._stopping = False

    @property
    def exists(self) -> bool:
        """Say whether the schedule lives outside beat and the settings."""
        return self._stored is not None

    def start(self) -> None:
        """Start the thread, if there is anything to read."""
        if self._stored is None:
            return
        try:
            start_daemon(self._run, "celery_health-outside")
        except Exception as error:
            self._faults.caught("beat.outside.start", error)

    def stop(self) -> None:
        """Have the thread end when it next looks; nobody waits for it."""
        self._stopping = True
        self._bell.ring()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._read()
            except Exception as error:
                self._faults.caught("beat.schedule", error)
            self._bell.wait(1.0)

    def _read(self) -> None:
        stored, now = self._stored, monotonic()
        if stored is None:
            return
        seen = (self._heap.identity, self._ticks.last_sent_at)
        age = float("inf") if self._read_at is None else now - self._read_at
        if age < REREAD_SECONDS or (seen == self._seen and age < stored.refresh_seconds):
            return
        # Also after a failure: a database that is down is not asked every second.
        self._read_at, self._seen = now, seen
        self._book.stored_is_judged = stored.is_judged
        self._book.stored = stored.read()


def _qualified_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
