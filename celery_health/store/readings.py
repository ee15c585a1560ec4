"""Takes apart what read.lua returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from celery_health.counters import CUSTOM, SEPARATOR

#: Fields of the totals' hash that are no totals.
_STATE = ("epoch", "version")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The parts of the reply, as texts."""

    now: int
    """Microseconds by the store's clock."""
    epoch: int
    version: int
    workers: list[tuple[str, str]]
    """Name and stamped record."""
    beats: list[tuple[str, str]]
    consumed: list[tuple[str, str]]
    """Queue and stamp."""
    fingerprints: list[str]
    """All that the store holds names for."""
    lists: list[str]
    """``fingerprint stamp names`` of those that were not known."""
    ring: list[tuple[str, str]]
    """Minute and counts."""
    totals: str | None

    @classmethod
    def of(cls, raw: list[Any]) -> Self:
        """Take the reply of the script.

        Raises:
            ValueError: it is not what the script returns.
        """
        seconds, micros, epoch, version, *texts, ring, totals = raw
        text = [part.decode("utf-8", "replace") for part in texts]
        return cls(
            now=int(seconds) * 1_000_000 + int(micros),
            epoch=int(epoch or 0),
            version=int(version or 0),
            workers=_zipped(text[0], text[1]),
            beats=_zipped(text[2], text[3]),
            consumed=_zipped(text[4], text[5]),
            fingerprints=_lines(text[6]),
            lists=_lines(text[7]),
            ring=[(minute.decode(), counts.decode("utf-8", "replace")) for minute, counts in _couples(ring)],
            totals=None if totals is None else totals.decode("utf-8", "replace"),
        )

    def registered(self, known: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Return the task names by fingerprint: those that were `known`, and those that came now."""
        came: dict[str, tuple[str, ...]] = {}
        for line in self.lists:
            fingerprint, _, names = line.split(" ", 2)
            came[fingerprint] = tuple(str(name) for name in json.loads(names))
        return {print_: came.get(print_) or known.get(print_, ()) for print_ in self.fingerprints}


def stamped(value: str) -> tuple[int, str]:
    """Return the stamp (microseconds) and the text of a stored record."""
    stamp, _mark, _writer, text = value.split(" ", 3)
    return int(stamp), text


def pairs(text: str) -> dict[str, int]:
    """Return the counts of a hash that came as lines, field and amount in turn."""
    lines = iter(_lines(text))
    counts = dict(zip(lines, map(int, lines), strict=True))
    for name in _STATE:
        counts.pop(name, None)
    # The values that labels have are kept among the totals.
    for name in [name for name in counts if name[:1] == CUSTOM]:
        del counts[name]
    return counts


def ring_of(minutes: list[tuple[str, str]]) -> dict[int, Mapping[tuple[str, str], int]]:
    """Return the ring: minute to (task name, outcome) to how many."""
    ring: dict[int, Mapping[tuple[str, str], int]] = {}
    for minute, text in minutes:
        counts: dict[tuple[str, str], int] = {}
        for field, amount in pairs(text).items():
            name, _, outcome = field.rpartition(SEPARATOR)
            counts[name, outcome] = amount
        ring[int(minute)] = counts
    return ring


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _zipped(names: str, values: str) -> list[tuple[str, str]]:
    # cjson writes an empty list as "{}".
    return list(zip(json.loads(names) or [], _lines(values), strict=True))


def _couples(items: list[bytes]) -> list[tuple[bytes, bytes]]:
    each = iter(items)
    return list(zip(each, each, strict=True))
