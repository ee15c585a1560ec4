"""Three proofs of life that a ping does not give: the loop turned, the consumer read, a task progressed.

Stamps are ``time.monotonic`` seconds. The worker's main thread sets them and other threads read them, one
attribute at a time, which needs no lock.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from queue import Empty
from time import monotonic
from typing import Any, Final

from celery.worker import state as worker_state

from celery_health.reporting.native import thread_id
from celery_health.worker.overdue import Overdue
from celery_health.worker.pools import runs_tasks_in_loop

#: How often the event loop is asked for a sign of life.
TICK_SECONDS: Final = 1.0
#: What ``drain_events`` waits for a message in the blocking loop (``synloop`` in celery/worker/loops.py).
_DRAIN_SECONDS: Final = 2.0


def age(stamp: float | None, now: float) -> float | None:
    """Return the seconds since `stamp`; None for a thing that was never seen. Never negative."""
    return None if stamp is None else max(0.0, now - stamp)


def rounded(seconds: float | None) -> float | None:
    """Return `seconds` as records hold them: to the millisecond."""
    return None if seconds is None else round(seconds, 3)


class Clocks:
    """The clocks of one worker. `attach` starts the first two anew at each (re)connect of its consumer."""

    def __init__(self) -> None:
        self.attached = False
        """The consumer has a connection and its loop is about to run, or runs."""
        self.turned = False
        """Its loop has turned once, under whatever connection."""
        self._progressed_at: float | None = None
        """When a task last started or ended; before the first one, when the worker could first take one."""
        self._progress: tuple[int, int] = (0, 0)
        self._looped_at: float | None = None
        self._tasks_in_loop = False
        """Tasks run in the loop's own thread: where they progress, it lives."""
        self._read_at: float | None = None
        self._read_seconds = 0.0
        """What one read may take by configuration, without a message."""
        self._unread = Overdue()
        self._draining_reads = False
        """``drain_events`` itself is the proof of reading."""
        self._generation = 0
        self._thread: int | None = None
        """The one in which the consumer connected, and its loop turns."""
        self._tick: Any = None
        self._amqp: Any = None
        self._frames = 0

    def attach(self, consumer: Any) -> None:
        """Watch the loop and the channel of a Celery consumer that has just (re)connected."""
        self.detach()
        self._generation += 1
        self._thread = thread_id()
        self._looped_at = monotonic()
        if self._progressed_at is None:
            self._progressed_at = self._looped_at
        self._tasks_in_loop = runs_tasks_in_loop(consumer.pool)
        self.attached = True
        if consumer.hub is not None:
            # A clock of the loop itself. Under gevent a cancelled repetition keeps ticking, and Celery
            # before 5.7 drops all timers at a reconnect: hence the generation, and a new one each time.
            self._tick = consumer.timer.call_repeatedly(TICK_SECONDS, self._ticked, (self._generation,))
        else:
            self._watch_drain(consumer.connection)
        self._watch_reads(consumer)

    def begin(self) -> None:
        """Note that the loop begins now: whatever came up after the connection kept it from turning."""
        self._looped_at = monotonic()
        if self._read_at is not None:
            self._read_at = self._looped_at
        self._unread.restart()

    def detach(self) -> None:
        """Forget the connection: it is lost, or the worker is about to stop."""
        self.attached = False
        self._generation += 1
        tick, self._tick, self._amqp = self._tick, None, None
        if tick is not None:
            with contextlib.suppress(Exception):
                tick.cancel()

    # Readings, for the agent's thread

    @property
    def looped_at(self) -> float | None:
        """Return when the event loop last turned, for all we know; None before it ever did."""
        looped = self._looped_at
        if self._tasks_in_loop and looped is not None and self._progressed_at is not None:
            return max(looped, self._progressed_at)
        return looped

    def loop_age(self, now: float) -> float | None:
        """Return the seconds since `looped_at`."""
        return age(self.looped_at, now)

    def read_age(self, now: float) -> float | None:
        """Return the seconds since the consumer last came back from reading; None where nothing proves it.

        AMQP pushes, so an idle connection proves itself by frames of its heartbeat alone: silence up to the
        negotiated interval is as good as reading, and only what is over it counts.
        """
        interval = self._look_at_frames(now)
        if interval is None:
            return age(self._read_at, now)
        if not interval:
            return None  # without heartbeats an idle connection and a dead one look the same
        silence = age(self._read_at, now) or 0.0
        return max(silence - interval, min(silence, self.loop_age(now) or 0.0))

    def unread_seconds(self, now: float, *, due: bool) -> float | None:
        """Return for how long the consumer should have read and has not; None where nothing proves reading.

        0 while it need not read, and counted anew from when it must again. What one read may take by
        configuration, `polling_interval` or the heartbeat's interval, is no delay. To be asked every second.

        Args:
            now: monotonic seconds.
            due: it is connected, subscribed, and free to take a message.
        """
        interval = self._look_at_frames(now)
        may_take = self._read_seconds if interval is None else interval
        seconds = self._unread.look(now, due=due, happened_at=self._read_at)
        if self._read_at is None or interval == 0:
            return None
        return max(0.0, seconds - may_take)

    @property
    def reads_when_full(self) -> bool:
        """Say whether reading is proven by frames, which come also while no message may."""
        return self._amqp is not None

    def _look_at_frames(self, now: float) -> float | None:
        """See whether AMQP frames came; return the heartbeat's interval, 0 for none, None without AMQP."""
        amqp = self._amqp
        if amqp is None:
            return None
        frames = getattr(amqp, "bytes_recv", self._frames)
        if frames != self._frames:
            self._frames, self._read_at = frames, now
        return float(getattr(amqp, "heartbeat", 0) or 0)

    def look_at_progress(self, now: float) -> None:
        """See whether a task has started or ended since the last look; the threads look every second.

        Nothing in the way of a task has to stamp the time for it: it shows in what Celery counts.
        """
        progress = worker_state.all_total_count[0], len(worker_state.active_requests)
        if progress != self._progress:
            self._progress = progress
            self._progressed_at = now

    @property
    def progressed_at(self) -> float | None:
        """Return when a task last started or ended, or could first have."""
        return self._progressed_at

    def progress_age(self, now: float) -> float | None:
        """Return the seconds since a task last started or ended, or could first have."""
        return age(self._progressed_at, now)

    # Where the stamps come from

    def _ticked(self, generation: int) -> None:
        # While the pool is stopped, another thread fires the timers (celery/concurrency/prefork.py): the loop
        # does not turn, and may never have.
        if thread_id() == self._thread:
            self._turned(generation)

    def _turned(self, generation: int) -> None:
        if generation == self._generation:
            self._looped_at = monotonic()
            # While an error ends the worker, the loop may turn to stop its pool.
            self.turned = self.turned or sys.exc_info()[1] is None

    def _watch_drain(self, connection: Any) -> None:
        """Stamp each return of ``drain_events``, which the blocking loop calls with a timeout of 2 s.

        Source: ``synloop`` in celery/worker/loops.py.
        """
        drain: Callable[..., Any] = connection.drain_events
        generation = self._generation

        def drain_events(*args: Any, **kwargs: Any) -> Any:
            try:
                taken = drain(*args, **kwargs)
            except TimeoutError:  # nothing came: the poll itself went well
                self._came_back(generation, by_draining=True)
                raise
            finally:
                self._turned(generation)
            self._came_back(generation, by_draining=True)
            return taken

        connection.drain_events = drain_events

    def _watch_reads(self, consumer: Any) -> None:
        self._draining_reads = False
        self._read_at = None
        self._unread.restart()
        channel = consumer.task_consumer.channel
        handlers = getattr(channel, "handlers", None)
        if isinstance(handlers, dict) and "BRPOP" in handlers:
            timeout = getattr(channel, "brpop_timeout", 1)
            if not timeout:
                return  # it waits for ever: idle and dead look the same
            self._read_seconds = float(timeout)
            self._read_at = monotonic()
            handlers["BRPOP"] = self._stamping(handlers["BRPOP"])
        elif consumer.connection.transport.driver_type == "amqp":
            # The driver's own connection, taken here in the main thread: asking kombu's for it from
            # another thread could make it reconnect.
            self._amqp = consumer.connection.connection
            self._frames = getattr(self._amqp, "bytes_recv", 0)
            self._read_at = monotonic()
        elif consumer.hub is None:
            # A virtual transport polls its queues in drain_events and comes back at its timeout.
            self._read_at = monotonic()
            self._draining_reads = True
            pause = getattr(consumer.connection.transport, "polling_interval", None)
            self._read_seconds = _DRAIN_SECONDS + float(pause or 0)

    def _stamping(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap ``_brpop_read`` of kombu/transport/redis.py: it returns at each reply, empty ones included."""
        generation = self._generation

        def brpop(*args: Any, **kwargs: Any) -> Any:
            try:
                taken = read(*args, **kwargs)
            except Empty:
                self._came_back(generation)
                raise
            self._came_back(generation)
            return taken

        return brpop

    def _came_back(self, generation: int, *, by_draining: bool = False) -> None:
        if generation == self._generation and by_draining == self._draining_reads:
            self._read_at = monotonic()
