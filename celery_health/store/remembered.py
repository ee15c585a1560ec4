"""The records that one reader of the store has parsed, so that it fetches and parses only what changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from celery_health.store.base import StoredRecord, StoredStart, StoredStarts
from celery_health.store.readings import Reply, age_between, clean_name, record_of

#: Writer, stamp and state: see starts.lua.
_START: Final = re.compile(r" ([0-9a-f]+):([0-9]{1,16}):([0-3])(?![^ ])")

#: What a stamp is read as that is too long for one: it lies in the future.
_NO_STAMP: Final = 2**63
#: Digits of a stamp, at most: what Lua's numbers hold exactly.
_STAMP_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class _Process:
    """What is known of one process, by its own stamp."""

    state: str
    """Its stamps, as the store has them: what follows was read of these."""
    record: Mapping[str, Any] | None
    """None for one that cannot be read, or is not there."""
    name: str
    writer: str
    stamp: int
    """Microseconds by the store's clock, as are these two."""
    first: int
    previous: int
    """0 for none."""

    @classmethod
    def of(cls, process: str, state: str, record: Mapping[str, Any] | None) -> _Process:
        writer, _, name = process.partition(" ")
        stamp, _mark, first, previous = state.split(" ")
        return cls(state, record, clean_name(name), writer, _number(stamp), _number(first), _number(previous))


def _number(stamp: str) -> int:
    return int(stamp) if len(stamp) <= _STAMP_LENGTH else _NO_STAMP


class Processes:
    """The last record of each process that ever reported as a worker.

    Holds only what is in the store now, by its own stamp: it cannot be stale.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Process] = {}
        self.since = 0
        """Stamp from which on records are wanted: those before it are here."""

    def take(self, reply: Reply) -> bool:
        """Take over what has changed; False when something is missing: then all is to be asked for."""
        wanted_all, complete = self.since == 0, True
        found: dict[str, _Process] = {}
        known_of, changed = self._known.get, reply.changed
        for process, state in reply.processes:
            known = known_of(process)
            if process in changed:
                found[process] = _Process.of(process, state, record_of(changed[process]))
            elif known is not None and known.state == state:
                found[process] = known
            elif wanted_all:
                found[process] = _Process.of(process, state, None)
            else:  # the store's clock went back, or it is another store
                complete = False
        self._known = found if complete else {}
        self.since = reply.now if complete else 0
        return complete

    def stored(self, reply: Reply, key: str) -> list[StoredRecord]:
        """Return the records with their ages; what cannot be read is counted as left out of `key`."""
        now, records = reply.now, []
        for one in self._known.values():
            age = age_between(one.stamp, now)
            if one.record is None or age is None:
                reply.skipped.add(key)
                continue
            records.append(
                StoredRecord(
                    name=one.name,
                    record=one.record,
                    age_seconds=age,
                    writer=one.writer,
                    first_age_seconds=age_between(one.first, now),
                    previous_age_seconds=age_between(one.previous, now) if one.previous else None,
                )
            )
        return records


class Starts:
    """The starts that the last reading found: they come only when they changed."""

    def __init__(self) -> None:
        self.changed = ""
        """When they last did, by the store's own word."""
        self._known: Mapping[str, StoredStarts] = MappingProxyType({})

    def stored(self, reply: Reply) -> Mapping[str, StoredStarts]:
        """Return name → starts."""
        if reply.starts is not None:
            self.changed, texts = reply.starts
            self._known = MappingProxyType({clean_name(n): _starts_of(text) for n, text in texts.items()})
        return self._known


def _starts_of(text: str) -> StoredStarts:
    told, since, count, *_ = text.split(" ", 3)
    return StoredStarts(
        starts=tuple(
            StoredStart(writer=writer, stamp=int(stamp), is_ready=state in "13", is_told=state in "23")
            for writer, stamp, state in _START.findall(text)
        ),
        vain_count=int(count),
        vain_since=int(since),
        told_at=int(told),
    )


class Stamped:
    """The records that stand in one text with their stamps: those of beats, and of earlier versions."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Mapping[str, Any] | None]] = {}

    def stored(self, entries: list[tuple[str, str]], reply: Reply, key: str) -> list[StoredRecord]:
        """Return the records with their ages; a record that has not changed is not parsed again."""
        found: dict[str, tuple[str, Mapping[str, Any] | None]] = {}
        records = []
        for name, value in entries:
            stamp, _mark, writer, text = value.split(" ", 3)
            before = self._known.get(name)
            record = before[1] if before and before[0] == text else record_of(text)
            found[name] = text, record
            age = reply.age_seconds(stamp)
            if record is None or age is None:
                reply.skipped.add(key)
            else:
                records.append(
                    StoredRecord(name=clean_name(name), record=record, age_seconds=age, writer=writer)
                )
        self._known = found
        return records
