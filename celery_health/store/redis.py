"""The store in a Redis or Valkey: three scripts, one round trip each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from celery_health.connections.redis import RedisLink
from celery_health.connections.scripts import Script
from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store import keys as limits
from celery_health.store.base import Acknowledgement, Publication, Store, StoredRecord, StoreReading
from celery_health.store.keys import Keys
from celery_health.store.readings import Reply, pairs, ring_of, stamped
from celery_health.store.scripts import PUBLISH, READ, RESET_IF_BEHIND
from celery_health.text.masking import describe_error

#: What a writer waits for, per step of the network and in all: its thread has a flush to do every second.
STEP_SECONDS: Final = 0.25
PUBLISH_SECONDS: Final = 1.0

_LIMITS: Final = (
    limits.RING_SECONDS, limits.TOTALS_SECONDS, limits.WORKER_SECONDS, limits.GOODBYE_SECONDS,
    limits.REGISTERED_SECONDS, limits.CONSUMED_SECONDS, limits.MAX_NAMES, limits.MAX_UNKNOWN,
    limits.MAX_QUEUES, limits.MAX_EXCEPTIONS, limits.MAX_FIELDS, limits.MAX_RING_FIELDS, limits.MAX_BEATS,
)  # fmt: skip
#: How servers say that a user may not do this, in lower case: NOPERM outside a script, the others inside
#: (Redis 6 and 7, Valkey 9),
#: and what is left of a command that was renamed away.
_FORBIDDEN: Final = (
    "noperm", "no permissions", "can't run this command", "can't access", "acl failure", "unknown command",
)  # fmt: skip


#: Name to stamp, text and record.
_Parsed = dict[str, tuple[int, str, Mapping[str, Any]]]


class RedisStore(Store):
    """Keeps everything under one prefix of one Redis database."""

    def __init__(self, link: RedisLink, prefix: str, *, url: str, secrets: tuple[str, ...] = ()) -> None:
        """Take over `link`; `url` is masked already, and `secrets` never appear in an error."""
        self.url = url
        self.keys = Keys(prefix)
        self._link = link
        self._secrets = secrets
        # Both hold only what is in the store now, by its own text or fingerprint: they cannot be stale.
        self._workers: _Parsed = {}
        self._beats: _Parsed = {}
        self._registered: dict[str, tuple[str, ...]] = {}

    def publish(self, publication: Publication, deadline: Deadline | None = None) -> Acknowledgement:
        """Hand in what a process has to say; see the base class."""
        keys = self.keys
        records = keys.beats if publication.kind == "beat" else keys.workers
        names = (keys.totals, keys.sequence(publication.writer), records, keys.registered, keys.consumed)
        epoch, reset, now, overflowed = self._run(
            PUBLISH,
            names,
            (keys.ring, *_LIMITS, *_arguments(publication)),
            deadline or Deadline.after(PUBLISH_SECONDS),
            STEP_SECONDS,
        )
        return Acknowledgement(
            epoch=epoch,
            sequence=publication.sequence,
            reset=bool(reset),
            server_time=now / 1e6,
            overflowed=tuple(label.decode("utf-8", "replace") for label in overflowed),
        )

    def read(self, deadline: Deadline, *, totals: bool = False, ring_minutes: int = 0) -> StoreReading:
        """Read everything in one round trip; see the base class."""
        keys = self.keys
        names = (keys.totals, keys.workers, keys.beats, keys.registered, keys.consumed)
        known = tuple(self._registered)
        minutes = max(0, min(ring_minutes, limits.MAX_RING_MINUTES))
        raw = self._run(READ, names, (keys.ring, minutes, int(totals), *known), deadline)
        try:
            return self._reading(Reply.of(raw))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise StoreError(
                f"The store at {self.url} holds something else under '{keys.prefix}*' than celery_health "
                f"wrote ({self._describe(error)}). Remove those keys, or set another STORE_PREFIX."
            ) from error

    def reset_if_behind(self, epoch: int, version: int, deadline: Deadline) -> int:
        """Start all totals again if the store is behind what was seen; see the base class."""
        keys = self.keys
        arguments = (epoch, version, keys.ring, limits.RING_SECONDS, limits.TOTALS_SECONDS)
        return int(self._run(RESET_IF_BEHIND, (keys.totals,), arguments, deadline))

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

        names = [_text(key) for key in keys]
        try:
            return self._link.run(script, names, arguments, deadline=deadline, step_seconds=step_seconds)
        except (RedisError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> StoreError:
        text = self._describe(error)
        if any(sign in text.lower() for sign in _FORBIDDEN):
            commands = " ".join(f"+{command}" for command in limits.COMMANDS)
            return StoreError(
                f"The store at {self.url} does not let its user run celery_health's scripts ({text}). "
                f"Allow it: ACL SETUSER <user> ~{self.keys.prefix}* {commands}"
            )
        return StoreError(f"The store at {self.url} did not take the call ({text}).")

    def _describe(self, error: BaseException) -> str:
        return describe_error(error, self._secrets)

    def _reading(self, reply: Reply) -> StoreReading:
        self._registered = reply.registered(self._registered)
        self._workers = _parsed(reply.workers, self._workers)
        self._beats = _parsed(reply.beats, self._beats)
        workers = _stored(self._workers, reply.now)
        return StoreReading(
            server_time=reply.now / 1e6,
            epoch=reply.epoch,
            version=reply.version,
            workers=tuple(record for record in workers if record.age_seconds <= limits.WORKER_SECONDS),
            beats=_stored(self._beats, reply.now),
            registered=MappingProxyType(self._registered),
            consumed={
                queue: (reply.now - int(stamp)) / 1e6
                for queue, stamp in reply.consumed
                if reply.now - int(stamp) <= limits.CONSUMED_SECONDS * 1_000_000
            },
            ring=ring_of(reply.ring),
            totals=pairs(reply.totals) if reply.totals is not None else None,
        )


def _parsed(entries: list[tuple[str, str]], known: _Parsed) -> _Parsed:
    """Return stamp, text and record by name; a record that has not changed is not parsed again."""
    found: _Parsed = {}
    for name, value in entries:
        stamp, text = stamped(value)
        before = known.get(name)
        record = before[2] if before and before[1] == text else MappingProxyType(json.loads(text))
        found[name] = stamp, text, record
    return found


def _stored(records: _Parsed, now: int) -> tuple[StoredRecord, ...]:
    return tuple(
        StoredRecord(name=name, record=record, age_seconds=max(0, now - stamp) / 1e6)
        for name, (stamp, _, record) in sorted(records.items(), key=lambda item: item[0])
    )


def _arguments(publication: Publication) -> tuple[str | bytes | int, ...]:
    """Return what publish.lua takes, in its order, after the limits."""
    own = publication
    is_brief = own.kind == "producer"
    parts: list[str | bytes | int] = [len(own.caps), *(part for cap in own.caps.items() for part in cap)]
    parts += [
        limits.PRODUCER_SEQUENCE_SECONDS if is_brief else limits.SEQUENCE_SECONDS, own.sequence,
        own.acknowledged, int(own.acknowledged_at * 1e6), own.epoch, len(own.fields),
    ]  # fmt: skip
    for field, amount in own.fields.items():
        parts += (field, amount)
    parts.append(len(own.ring))
    for field, amount in own.ring.items():
        parts += (field, amount)
    if own.record is not None and own.name is not None and not is_brief:
        mark = "g" if own.record.get("goodbye") else "-"
        parts += (own.kind, _text(own.name), own.writer, mark, _json(own.record))
    else:
        parts.append("")
    if own.registered is not None:
        fingerprint, names = own.registered
        parts += (fingerprint, _json(names))
    else:
        parts.append("")
    return (*parts, len(own.consumed), *(_text(queue) for queue in own.consumed))


def _json(value: object) -> str:
    """Return JSON in one line of ASCII: the scripts take texts apart at line feeds."""
    return json.dumps(value, separators=(",", ":"), default=str)


def _text(name: str) -> bytes:
    # A host name may hold bytes that are no text (PEP 383), and redis-py would raise.
    return name.encode("utf-8", "replace")
