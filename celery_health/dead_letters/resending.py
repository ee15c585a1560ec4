"""One requeue: which letters go, how they go, and what became of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from celery_health.dead_letters.boxes import Box, Sending, Stop, Stored
from celery_health.dead_letters.envelope import decode_reason, headers_again
from celery_health.dead_letters.reading import has_expired, names, read_brief
from celery_health.dead_letters.records import Cause, Filter, Reason, Requeued
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError
from celery_health.headers import PUBLISHED_AT_HEADER


class RequeueInterruptedError(BrokerError):
    """The broker failed in the middle. What was not sent is still a dead letter."""

    def __init__(self, message: str, done: Requeued) -> None:
        self.done = done
        """What was sent before; the letter under way may be both sent and still there."""
        super().__init__(message)


class RequeueStopped(KeyboardInterrupt):
    """Somebody pressed Ctrl-C. What was not sent is still a dead letter."""

    def __init__(self, done: Requeued) -> None:
        self.done = done
        """What was sent before; a letter under way may be both sent and still there."""
        super().__init__("Stopped by Ctrl-C.")


@dataclass(kw_only=True)
class Resending:
    """A requeue under way."""

    queue: str
    wanted: frozenset[str] | None
    """Ids of letters or of their tasks; None for any."""
    where: Filter
    limit: int | None
    rate: float | None
    """Letters per second."""
    force: bool
    dry_run: bool
    until: float | None
    """Monotonic seconds after which no letter is begun."""

    _requeued: int = 0
    _expired: int = 0
    _unsendable: int = 0
    _gone: int = 0
    _looked_at: int = 0
    _stopped: bool = False
    _timed_out: bool = False
    _interrupted: bool = False
    _found: set[str] = field(default_factory=set)
    _next_at: float = 0.0

    def run(self, box: Box, call_seconds: float) -> Requeued:
        """Send what is chosen; each call of the broker within `call_seconds`.

        Raises:
            BrokerError: the broker failed before anything was sent.
            RequeueInterruptedError: it failed later.
            RequeueStopped: somebody pressed Ctrl-C.
        """

        def deadline() -> Deadline:
            return Deadline.after(call_seconds)

        try:
            walk = box.walk(self.queue, self._visit, deadline, self._sent)
        except BrokerError as error:
            if not self._looked_at:
                raise
            done = self._result(remaining=None, complete=False)
            raise RequeueInterruptedError(
                f"{error} ({done.requeued} letters were sent before; the rest is still there.)", done
            ) from None
        except KeyboardInterrupt:
            # In the middle of a question: the connection may hold half of an answer, and is not asked again.
            raise RequeueStopped(self._result(remaining=None, complete=False)) from None
        try:
            remaining = box.sizes([self.queue], deadline()).get(self.queue)
        except BrokerError:
            remaining = None
        done = self._result(remaining=remaining, complete=walk.complete, disturbed=walk.disturbed)
        if self._interrupted:
            raise RequeueStopped(done)
        return done

    def _visit(self, stored: Stored) -> Sending | Stop | None:
        said = Stop.STOP if self._is_enough() else self._judge(stored)
        if isinstance(said, Stop):
            self._stopped = True
        else:
            self._looked_at += 1
        return said

    def _judge(self, stored: Stored) -> Sending | Stop | None:
        reason = decode_reason(stored.headers)
        if self.wanted is not None:
            name = names(stored, reason, self.wanted)
            if name is None:
                return None
            self._found.add(name)
        if not self.where.takes_all and not self.where.takes(read_brief(stored)):
            return None
        if not stored.is_message or (reason is not None and reason.cause is Cause.UNREADABLE):
            self._unsendable += 1
            return None
        if not self.force and has_expired(stored.headers, time.time()):
            self._expired += 1
            return None
        if self.dry_run:
            self._requeued += 1
            return None
        if not self._comes_to_its_turn():
            return Stop.STOP
        return self._sending(stored, reason)

    def _is_enough(self) -> bool:
        if self.limit is not None and self._requeued >= self.limit:
            return True
        # A task's id may stand on several letters: all of them are meant, so the look goes on to the end.
        self._timed_out = self._is_over(time.monotonic())
        return self._timed_out

    def _is_over(self, moment: float) -> bool:
        return self.until is not None and moment >= self.until

    def _sending(self, stored: Stored, reason: Reason | None) -> Sending:
        headers = headers_again(stored.headers, reason)
        headers[PUBLISHED_AT_HEADER] = time.time()
        expiration = reason.expiration if reason else None
        if self.force and has_expired(headers, time.time()):
            headers["expires"] = expiration = None
        # To that one queue: its exchange may have others bound, which had no failure.
        return Sending(
            queue=self.queue, headers=headers, exchange="", routing_key=self.queue, expiration=expiration
        )

    def _comes_to_its_turn(self) -> bool:
        """Wait for the next letter's turn by the rate; False when none comes within the time."""
        if self.rate is None:
            return True
        now = time.monotonic()
        turn = max(now, self._next_at)
        if self._is_over(turn):
            self._timed_out = True
            return False
        try:
            time.sleep(turn - now)
        except KeyboardInterrupt:
            self._interrupted = True
            return False
        self._next_at = turn + 1 / self.rate
        return True

    def _sent(self, went: bool) -> None:
        if went:
            self._requeued += 1
        else:
            self._gone += 1

    def _result(self, *, remaining: int | None, complete: bool, disturbed: bool = False) -> Requeued:
        return Requeued(
            queue=self.queue,
            requeued=self._requeued,
            expired=self._expired,
            unsendable=self._unsendable,
            gone=self._gone,
            remaining=remaining,
            looked_at=self._looked_at,
            complete=complete,
            finished=complete and not self._stopped,
            timed_out=self._timed_out,
            not_found=tuple(sorted((self.wanted or frozenset()) - self._found)),
            dry_run=self.dry_run,
            disturbed=disturbed,
        )
