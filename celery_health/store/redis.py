"""The store in a Redis or Valkey: one script for each thing it does."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

from celery_health.connections.redis import RedisLink, is_timeout
from celery_health.connections.scripts import Script
from celery_health.deadline import Deadline
from celery_health.exceptions import LateStoreError, StoreError
from celery_health.store import entries, missing, parts, skipped, streaks
from celery_health.store import keys as limits
from celery_health.store.arguments import arguments, sent
from celery_health.store.base import (
    Acknowledgement,
    MinutesReading,
    Publication,
    RowsReading,
    Store,
    StoredRecord,
    StoreReading,
)
from celery_health.store.keys import Keys
from celery_health.store.minutes import read_minutes
from celery_health.store.pace import Pace
from celery_health.store.readings import Reply, Skipped, left_out, other_type, pairs, ring_of
from celery_health.store.refusals import QUESTIONS, refusal
from celery_health.store.remembered import Processes, Stamped, Starts
from celery_health.store.rows import read_rows
from celery_health.store.scripts import PUBLISH, READ, RESET_IF_BEHIND
from celery_health.text.masking import describe_error

#: How long each count is looked at by itself, once one was found that is none.
CAREFUL_SECONDS: Final = 60.0

_LIMITS: Final = (
    limits.RING_SECONDS, limits.TOTALS_SECONDS, limits.WORKER_SECONDS, limits.GOODBYE_SECONDS,
    limits.REGISTERED_SECONDS, limits.CONSUMED_SECONDS, limits.MAX_NAMES, limits.MAX_UNKNOWN,
    limits.MAX_QUEUES, limits.MAX_EXCEPTIONS, limits.MAX_FIELDS, limits.MAX_RING_FIELDS,
    limits.MAX_RING_EXCEPTIONS, limits.MAX_BEATS,
    limits.MAX_SILENT, limits.FRESH_SECONDS, limits.MAX_PROCESSES, limits.MAX_ALL_PROCESSES,
)  # fmt: skip
#: How servers say that a user may not do this, in lower case: NOPERM outside a script, the others inside
#: (Redis 6 and 7, Valkey 9),
#: and what is left of a command that was renamed away.
_FORBIDDEN: Final = (
    "noperm", "no permissions", "can't run this command", "can't access", "acl failure", "unknown command",
)  # fmt: skip


class RedisStore(Store):
    """Keeps everything under one prefix of one Redis database."""

    def __init__(self, link: RedisLink, prefix: str, *, url: str, secrets: tuple[str, ...] = ()) -> None:
        """Take over `link`; `url` is masked already, and `secrets` never appear in an error."""
        self.url = url
        self.keys = Keys(prefix)
        self._link = link
        self._secrets = secrets
        self._pace = Pace()
        # These hold only what is in the store now, by its own stamp, text or fingerprint: never stale.
        self._processes = Processes()
        self._old_workers = Stamped()
        self._beats = Stamped()
        self._starts = Starts()
        self._troubles = Stamped()
        self._registered: dict[str, tuple[str, ...]] = {}
        self._careful_until = float("-inf")

    def publish(self, publication: Publication, deadline: Deadline | None = None) -> Acknowledgement:
        """Hand in what a process has to say; see the base class."""
        keys = self.keys
        names = (
            keys.totals, keys.sequence(publication.writer), keys.beats, keys.registered, keys.consumed,
            keys.processes, keys.records, keys.workers, keys.rows, keys.pruned, keys.starts,
        )  # fmt: skip
        allowed, started = Deadline.after(self._pace.publish_seconds), monotonic()
        try:
            epoch, reset, now, overflowed, unwritten, missed = self._run(
                PUBLISH,
                names,
                (keys.ring, keys.exceptions, " ".join(map(str, _LIMITS)), *arguments(publication, keys)),
                allowed if deadline is None else allowed.within(deadline.remaining()),
                self._pace.step_seconds,
            )
        except StoreError as error:
            if is_timeout(error.__cause__):
                self._pace.timed_out()
            raise
        self._pace.took(monotonic() - started)
        return Acknowledgement(
            epoch=epoch,
            sequence=publication.sequence,
            reset=bool(reset),
            server_time=now / 1e6,
            overflowed=tuple(label.decode("utf-8", "replace") for label in overflowed),
            unwritten=tuple(key.decode("utf-8", "replace") for key in unwritten),
            missing=missing.answered(missed),
        )

    def read(self, deadline: Deadline, *, totals: bool = False, ring_minutes: int = 0) -> StoreReading:
        """Read everything, in one round trip where that is little; see the base class."""
        try:
            careful = monotonic() < self._careful_until
            reply = self._ask(deadline, totals, ring_minutes, careful=careful)
            counts = _counts_of(reply)
            is_odd = counts is None or reply.consumed is None
            if is_odd:
                self._careful_until = monotonic() + CAREFUL_SECONDS
            is_complete = self._processes.take(reply)
            if is_odd or not is_complete:
                reply = self._ask(deadline, totals, ring_minutes, careful=careful or is_odd)
                counts = _counts_of(reply)
                self._processes.take(reply)
            if counts is None:
                raise ValueError("counts that are no numbers")
            return self._reading(reply, *counts)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise StoreError(self._foreign(self._describe(error))) from error

    def _ask(self, deadline: Deadline, totals: bool, ring_minutes: int, *, careful: bool) -> Reply:
        keys = self.keys
        names = (
            keys.totals, keys.workers, keys.beats, keys.registered, keys.consumed,
            keys.processes, keys.records, keys.starts, keys.streaks, keys.troubles, keys.entries,
        )  # fmt: skip
        minutes = max(0, min(ring_minutes, limits.MAX_RING_MINUTES))
        state = (keys.ring, minutes, int(totals), int(careful), self._processes.since)
        most = (parts.MAX_RECORDS, parts.RECORD_BYTES, parts.MAX_FIELDS)
        for _ in range(2):
            known = (self._starts.changed, *self._registered)
            reply = Reply.of(self._run(READ, names, (*state, *most, *known), deadline))
            with suppress(parts.StartedOver):
                return parts.completed(self._run, keys, reply, deadline, careful=careful)
        raise StoreError(f"The store at {self.url} started all totals again while they were read. Ask again.")

    def rows(self, processes: Iterable[tuple[str, str]], deadline: Deadline) -> RowsReading:
        """Read the tasks that workers hold, in steps; see the base class."""
        return read_rows(self._run, self.keys, processes, deadline)

    def minutes(self, epoch: int, known: Collection[int], deadline: Deadline) -> MinutesReading:
        """Read what ended in each of the last 60 minutes, in steps; see the base class."""
        try:
            with suppress(ValueError):
                careful = monotonic() < self._careful_until
                return read_minutes(self._run, self.keys, epoch, known, deadline, careful=careful)
            self._careful_until = monotonic() + CAREFUL_SECONDS
            return read_minutes(self._run, self.keys, epoch, known, deadline, careful=True)
        except (ValueError, TypeError) as error:
            raise StoreError(self._foreign(self._describe(error))) from error

    def reset_if_behind(self, epoch: int, version: int, deadline: Deadline) -> int:
        """Start all totals again if the store is behind what was seen; see the base class."""
        keys = self.keys
        spans = (limits.RING_SECONDS, limits.TOTALS_SECONDS)
        arguments = (epoch, version, keys.ring, keys.exceptions, *spans)
        return int(self._run(RESET_IF_BEHIND, (keys.totals,), arguments, deadline))

    def refuses_writes(self, deadline: Deadline) -> str | None:
        """Return why it refuses writes, by its own word; see the base class."""
        from redis.exceptions import RedisError

        try:
            found = refusal(self._link.call_many(QUESTIONS, deadline=deadline))
            if found is None:
                return None
            # The connection may lead to the master of before a failover: its name may lead elsewhere by now.
            self._link.close()
            return refusal(self._link.call_many(QUESTIONS, deadline=deadline))
        except (RedisError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the connection, if one is open; the next call opens a new one."""
        self._link.close()

    def _run(
        self,
        script: Script,
        keys: tuple[str, ...],
        arguments: tuple[str | bytes | int, ...],
        deadline: Deadline,
        step_seconds: float | None = None,
    ) -> Any:
        from redis.exceptions import RedisError

        names = [sent(key) for key in keys]
        try:
            return self._link.run(script, names, arguments, deadline=deadline, step_seconds=step_seconds)
        except (RedisError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> StoreError:
        if is_timeout(error) and (late := self._link.own_delay()):
            return LateStoreError(f"This process {late}.")
        if self._link.keeps_waiting:
            return StoreError(
                f"The store at {self.url} answers PING, and what writes not in time: writes are kept "
                "waiting (CLIENT PAUSE), or it is busy."
            )
        text = self._describe(error)
        if any(sign in text.lower() for sign in _FORBIDDEN):
            commands = " ".join(f"+{command}" for command in limits.COMMANDS)
            return StoreError(
                f"The store at {self.url} does not let its user run celery_health's scripts ({text}). "
                f"Allow it: ACL SETUSER <user> ~{self.keys.prefix}* {commands}"
            )
        if "wrongtype" in text.lower():
            return StoreError(self._foreign(text))
        return StoreError(f"The store at {self.url} did not take the call ({text}).")

    def _foreign(self, what: str) -> str:
        return (
            f"The store at {self.url} holds something else under '{self.keys.prefix}*' than celery_health "
            f"wrote ({what}). Remove those keys, or set another STORE_PREFIX."
        )

    def _describe(self, error: BaseException) -> str:
        return describe_error(error, self._secrets)

    def _reading(self, reply: Reply, counted: dict[str, int] | None, ring: Any) -> StoreReading:
        keys = self.keys
        self._registered = reply.registered(self._registered, keys.registered)
        workers = self._processes.stored(reply, keys.records)
        workers += self._old_workers.stored(reply.old_workers, reply, keys.workers)
        beats = self._beats.stored(reply.beats, reply, keys.beats)
        found = streaks.taken(reply.streaks, reply.now, reply.skipped, keys.streaks)
        listed = entries.taken(reply.entries, reply.now, reply.skipped, keys.entries)
        self._count_skipped(reply.skipped)
        return StoreReading(
            server_time=reply.now / 1e6,
            epoch=reply.epoch,
            version=reply.version,
            workers=_sorted(one for one in workers if one.age_seconds <= limits.WORKER_SECONDS),
            beats=_sorted(beats),
            registered=MappingProxyType(self._registered),
            consumed=reply.ages(reply.consumed or {}, limits.CONSUMED_SECONDS, keys.consumed),
            ring=ring,
            streaks=found,
            totals=counted,
            starts=self._starts.stored(reply),
            entries=listed,
            troubles=tuple(self._troubles.stored(reply.troubles, reply, keys.troubles)),
            skipped=reply.skipped.entries,
            problems=self._problems(reply),
        )

    def _count_skipped(self, found: Skipped) -> None:
        for key, amount in found.entries.items():
            skipped.count("store." + key.removeprefix(self.keys.prefix).partition(":")[0], amount)

    def _problems(self, reply: Reply) -> tuple[str, ...]:
        """Return what people should know of what was left out."""
        found = []
        for key, amount in sorted(reply.skipped.entries.items()):
            if key in reply.skipped.types:
                found.append(other_type(key))
            else:
                found.append(left_out(key, amount))
        if not reply.is_numbered:
            found.append(
                f"Epoch or version of '{self.keys.totals}' cannot be read: the next process that reports "
                "starts all totals again from zero."
            )
        return tuple(found)


def _counts_of(reply: Reply) -> tuple[dict[str, int] | None, Any] | None:
    """Return totals and ring; None when one of the counts is none."""
    try:
        return (None if reply.totals is None else pairs(reply.totals)), ring_of(reply.ring)
    except ValueError:
        return None


def _sorted(records: Iterable[StoredRecord]) -> tuple[StoredRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.name))
