"""Takes apart what read.lua returns. What is not as we write it is left out, and said to be."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from celery_health.counters import CUSTOM, SEPARATOR

#: Fields of the totals' hash that are no totals.
_STATE: Final = ("epoch", "version")
#: Stamps that lie further in the future are no news: the store's clock went back, or somebody made them up.
MAX_AHEAD_SECONDS: Final = 30
#: A record is some kilobytes, with all that a worker may list some hundreds.
MAX_RECORD_LENGTH: Final = 4_000_000
MAX_NAME_LENGTH: Final = 500
#: What Lua's numbers, and so the scripts, hold exactly.
_MAX_COUNT: Final = 2**53 - 1

#: Parts of the reply before those that came later, each behind the others.
_PARTS: Final = 21

#: Stands for a line feed in the names of queues, which are taken apart at line feeds.
LINE_FEED: Final = "\x1c"


class Skipped:
    """Counts what was left out, by key."""

    def __init__(self) -> None:
        self.entries: dict[str, int] = {}
        self.types: set[str] = set()
        """Keys that are of another type altogether."""

    def add(self, key: str, count: int = 1) -> None:
        """Count entries of a key."""
        self.entries[key] = self.entries.get(key, 0) + count


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The parts of the reply, as texts."""

    now: int
    """Microseconds by the store's clock."""
    epoch: int
    """0 when there is none, or it cannot be read."""
    version: int
    is_numbered: bool
    """Whether epoch and version are as we write them, or not there."""
    old_workers: list[tuple[str, str]]
    """Name and stamped record."""
    beats: list[tuple[str, str]]
    consumed: dict[str, str] | None
    """Queue → stamp; None when one of them is none."""
    consumed_later: bool
    """They are many, and to be asked for apart."""
    processes: list[tuple[str, str]]
    """Writer and name in one, and its stamps."""
    changed: dict[str, str]
    """Of these, the records that came since."""
    later: list[str]
    """Of these, the ones whose records came since and are still to be fetched."""
    fingerprints: list[str]
    """All that the store holds names for."""
    lists: list[str]
    """``fingerprint stamp names`` of those that were not known."""
    ring: list[tuple[str, str]]
    """Minute and counts."""
    later_minutes: list[str]
    """Those whose counts are still to be fetched."""
    totals: str | None
    totals_later: bool
    """They are wanted, and still to be fetched."""
    starts: tuple[str, dict[str, str]] | None = None
    """When those of workers last changed, and all of them by name; None when that is what the caller has."""
    troubles: list[tuple[str, str]] = field(default_factory=list)
    """Writer and stamped record of what it could not write."""
    streaks: list[tuple[str, str]] = field(default_factory=list)
    """Task name and entry."""
    entries: list[tuple[str, str]] = field(default_factory=list)
    """Entry of the schedule and what is kept of it."""
    skipped: Skipped = field(default_factory=Skipped)
    """What the script has left out."""

    @classmethod
    def of(cls, raw: list[Any]) -> Self:
        """Take the reply of the script.

        Raises:
            ValueError: it is not what the script returns.
        """
        seconds, micros, epoch, version, *texts, ring, totals, left_out = raw[:_PARTS]
        starts, streaks, trouble_names, trouble_values = raw[_PARTS : _PARTS + 4]
        (entries,) = raw[_PARTS + 4 : _PARTS + 5]
        # Bytes that are no text stay apart from each other; `clean_name` makes them fit to show.
        names = [_names(texts[place]) for place in (0, 2, 6)]
        values = [_lines(texts[place].decode("utf-8", "replace")) for place in (1, 3, 7, 9, 10, 11)]
        processes = list(zip(names[2], values[2], strict=True))
        places = json.loads(texts[8]) or []
        numbers = [count_of(state) for state in (epoch, version)]
        skipped = Skipped()
        each = iter(left_out)
        for key, kind, count in zip(each, each, each, strict=True):
            text = key.decode("utf-8", "replace")
            skipped.add(text, int(count))
            if kind == b"type":
                skipped.types.add(text)
        return cls(
            now=int(seconds) * 1_000_000 + int(micros),
            epoch=numbers[0] or 0,
            version=numbers[1] or 0,
            is_numbered=None not in numbers,
            old_workers=list(zip(names[0], values[0], strict=True)),
            beats=list(zip(names[1], values[1], strict=True)),
            consumed={} if texts[5] == 1 else stamps_of(texts[4], texts[5]),
            consumed_later=texts[5] == 1,
            processes=processes,
            later=[processes[place][0] for place in json.loads(texts[12]) or []],
            changed={processes[place][0]: record for place, record in zip(places, values[3], strict=True)},
            fingerprints=values[4],
            lists=values[5],
            ring=[(minute.decode(), counts.decode("utf-8", "replace")) for minute, counts in _couples(ring)],
            later_minutes=_lines(texts[13].decode()),
            totals=totals.decode("utf-8", "replace") if isinstance(totals, bytes) else None,
            totals_later=totals == 1,
            starts=_starts(starts),
            troubles=list(
                zip(_names(trouble_names), _lines(trouble_values.decode("utf-8", "replace")), strict=True)
            ),
            streaks=list(zip(_names(streaks[0]), _lines(streaks[1].decode("utf-8", "replace")), strict=True)),
            entries=list(zip(_names(entries[0]), _lines(entries[1].decode("utf-8", "replace")), strict=True)),
            skipped=skipped,
        )

    def registered(self, known: Mapping[str, tuple[str, ...]], key: str) -> dict[str, tuple[str, ...]]:
        """Return the task names by fingerprint: those that were `known`, and those that came now.

        Names that cannot be read are not known, which is not the same as none; they are left out of `key`.
        """
        came: dict[str, tuple[str, ...]] = {}
        for line in self.lists:
            fingerprint, _, text = line.split(" ", 2)
            try:
                names = json.loads(text)
            except (ValueError, RecursionError):
                names = None
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                came[fingerprint] = tuple(map(clean_name, names))
            else:
                self.skipped.add(key)
        found = {print_: came.get(print_, known.get(print_)) for print_ in self.fingerprints}
        return {print_: names for print_, names in found.items() if names is not None}

    def ages(self, stamps: Mapping[str, str], most_seconds: float, key: str) -> Mapping[str, float]:
        """Return how long ago stamps of `key` were made: those of at most so many seconds."""
        if not stamps:
            return {}
        oldest, latest = str(self.now - int(most_seconds * 1e6)), str(self.now + MAX_AHEAD_SECONDS * 10**6)
        texts, length = stamps.values(), len(latest)
        are_of_one_length = len(oldest) == length and set(map(len, texts)) == {length}
        # Texts of one length stand in the order of their numbers.
        if are_of_one_length and oldest <= min(texts) and max(texts) <= latest and _are_plain(stamps):
            return Ages(stamps, self.now)
        ages: dict[str, float] = {}
        for name, stamp in stamps.items():
            age = self.age_seconds(stamp)
            if age is None:
                self.skipped.add(key)
            elif age <= most_seconds:
                ages[clean_name(name)] = age
        return ages

    def age_seconds(self, stamp: str) -> float | None:
        """Return how long ago a stamp was made; None when it is none, or lies in the future."""
        return age_of(stamp, self.now)


def age_of(stamp: str, now: int) -> float | None:
    """Return how many seconds before `now` a stamp was made; None when it is none, or lies in the future.

    Both are microseconds, `stamp` in digits.
    """
    if len(stamp) > len(str(_MAX_COUNT)):
        return None
    return age_between(int(stamp), now)


def age_between(stamp: int, now: int) -> float | None:
    """Return what `age_of` does of a stamp that was read before."""
    age = (now - stamp) / 1e6
    if age > 0.0:
        return age
    return 0.0 if age >= -MAX_AHEAD_SECONDS else None


class Ages(Mapping[str, float]):
    """How long ago each of many stamps was made; reckoned when somebody asks, which is seldom."""

    def __init__(self, stamps: Mapping[str, str], now: int) -> None:
        """Take stamps that are sound, and the time: microseconds of one clock."""
        self._stamps = stamps
        self._now = now

    def __getitem__(self, name: str) -> float:
        return max(0.0, (self._now - int(self._stamps[name])) / 1e6)

    def __contains__(self, name: object) -> bool:
        return name in self._stamps

    def __iter__(self) -> Iterator[str]:
        return iter(self._stamps)

    def __len__(self) -> int:
        return len(self._stamps)


_nothing = json.JSONDecoder(parse_constant=lambda name: None)


def record_of(text: str) -> Mapping[str, Any] | None:
    """Return a record; None when the text is none. Numbers that JSON does not have (NaN) become null."""
    if len(text) > MAX_RECORD_LENGTH:
        return None
    try:
        record = _nothing.decode(text)
    except (ValueError, RecursionError):
        return None
    return MappingProxyType(record) if isinstance(record, dict) else None


def _are_plain(names: Collection[str]) -> bool:
    """Say whether `clean_name` would leave all of them as they are."""
    return all(map(str.isascii, names)) and max(map(len, names)) <= MAX_NAME_LENGTH


def clean_name(name: str) -> str:
    """Return a name as text that can be written anywhere: what is no text shows as such."""
    if not name.isascii():
        name = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return name[:MAX_NAME_LENGTH]


def pairs(text: str) -> dict[str, int]:
    """Return the counts of a hash that came as lines, field and amount in turn.

    Raises:
        ValueError: an amount is no whole number.
    """
    lines = iter(_lines(text))
    counts = dict(zip(lines, map(int, lines), strict=True))
    for name in _STATE:
        counts.pop(name, None)
    # The values that labels have are kept among the totals.
    for name in [name for name in counts if name[:1] == CUSTOM]:
        del counts[name]
    return counts


def ring_of(minutes: list[tuple[str, str]]) -> dict[int, Mapping[tuple[str, str], int]]:
    """Return the ring: minute to (task name, outcome) to how many.

    Raises:
        ValueError: an amount is no whole number.
    """
    ring: dict[int, Mapping[tuple[str, str], int]] = {}
    for minute, text in minutes:
        counts: dict[tuple[str, str], int] = {}
        for name_and_outcome, amount in pairs(text).items():
            name, mark, outcome = name_and_outcome.rpartition(SEPARATOR)
            if mark:
                counts[name, outcome] = amount
        ring[int(minute)] = counts
    return ring


def other_type(key: str) -> str:
    """Return what people should know of a key that holds something else."""
    return (
        f"The key '{key}' of the store is of a type that celery_health does not write, so what belongs there "
        "is not known. Remove it, or set another STORE_PREFIX."
    )


def left_out(key: str, amount: int) -> str:
    """Return what people should know of entries that cannot be read."""
    return (
        f"{amount} {'entry' if amount == 1 else 'entries'} of '{key}' in the store cannot be read and were "
        "left out: celery_health did not write them so. Remove them, or set another STORE_PREFIX."
    )


def count_of(state: bytes | None) -> int | None:
    """Return an epoch or version; 0 for none, None for one that cannot be read."""
    if state is None:
        return 0
    number = int(state) if state.isdigit() and len(state) <= len(str(_MAX_COUNT)) else None
    return number if number is not None and number <= _MAX_COUNT else None


def _starts(found: list[bytes] | None) -> tuple[str, dict[str, str]] | None:
    if not found:
        return None
    changed, names, values = found
    return changed.decode(), dict(zip(_names(names), _lines(values.decode()), strict=True))


def _names(text: bytes) -> list[str]:
    # cjson writes an empty list as "{}".
    return json.loads(text.decode("utf-8", "surrogateescape")) or []


def stamps_of(names: bytes, values: bytes) -> dict[str, str] | None:
    """Return the stamps by name: apart from these, or each behind its own where there are no `names`."""
    if names:
        keys = [name.replace(LINE_FEED, "\n") for name in _names(names)]
        return dict(zip(keys, _lines(values.decode("utf-8", "replace")), strict=True))
    parts = _lines(values.decode("utf-8", "surrogateescape"))
    keys, stamps = parts[::2], parts[1::2]
    if LINE_FEED.encode() in values:
        keys = [key.replace(LINE_FEED, "\n") for key in keys]
    digits = "".join(stamps)
    if (
        len(keys) != len(stamps)
        or not all(stamps)
        or (digits and not (digits.isascii() and digits.isdigit()))
    ):
        return None
    return dict(zip(keys, stamps, strict=True))


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _couples(items: list[bytes]) -> list[tuple[bytes, bytes]]:
    each = iter(items)
    return list(zip(each, each, strict=True))
