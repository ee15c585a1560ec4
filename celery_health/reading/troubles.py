"""What processes could not write, from what they told the store: pure, over one reading of it.

Every value comes from another process: see `fields`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from celery_health.reading.fields import name, names, number, of_type
from celery_health.records import Blocked, Hanging, LastError, Refused, SentElsewhere, StoredResults
from celery_health.store.base import StoredRecord, StoreReading

#: What lasts is told each five seconds: what was last told longer ago than this may be over.
FRESH_SECONDS: Final = 20.0
#: A connection that nobody writes to is not read either: so long after that, what it said may be old.
HEARD_SECONDS: Final = 60.0


def refused_of(reading: StoreReading, lately_seconds: float) -> Refused:
    """Return what is known of publications that did not get through."""
    return Refused(
        tasks=_counted(reading, "refused"),
        last=_last(reading.troubles, "refused", lately_seconds),
        blocked=tuple(sorted(_blocked(reading), key=lambda one: (-one.seconds, one.process))),
        hanging=tuple(sorted(_hanging(reading), key=lambda one: (-one.seconds, one.process))),
        elsewhere=tuple(sorted(_elsewhere(reading, lately_seconds), key=lambda one: (one.process, one.app))),
    )


def stored_results_of(
    reading: StoreReading,
    lately_seconds: float,
    *,
    ignoring: Iterable[str] | None,
    within_seconds: float | None = None,
) -> StoredResults:
    """Return what is known of results.

    Args:
        reading: of the store.
        lately_seconds: how old the last error may be.
        ignoring: the tasks whose results nobody keeps; None where that is not known, and nothing is proven.
        within_seconds: only what was stored within this counts; None for all that was read.
    """
    unstored = _counted(reading, "unstored")
    failed_in = [minute for minute, counts in reading.ring.items() if _amount(counts, "unstored")]
    stored_in = {} if ignoring is None else _stored(reading, frozenset(ignoring))
    last_failed = max(failed_in, default=None)
    if within_seconds is not None:
        first = int(reading.server_time - within_seconds) // 60
        stored_in = {minute: amount for minute, amount in stored_in.items() if minute >= first}
    return StoredResults(
        unstored=unstored,
        last=_last(reading.troubles, "unstored", lately_seconds),
        stored=sum(stored_in.values()),
        # Of one minute nobody knows which came last.
        is_over=last_failed is not None and any(minute > last_failed for minute in stored_in),
    )


def _stored(reading: StoreReading, ignoring: frozenset[str]) -> Mapping[int, int]:
    """Return minute → how many results were stored."""
    found = {}
    for minute, counts in reading.ring.items():
        stored = sum(
            amount
            for (task, outcome), amount in counts.items()
            if outcome == "succeeded" and task not in ignoring
        )
        if stored:
            found[minute] = stored
    return found


def _counted(reading: StoreReading, wanted: str) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for counts in reading.ring.values():
        for (task, outcome), amount in counts.items():
            if outcome == wanted:
                found[task] = found.get(task, 0) + amount
    return found


def _amount(counts: Mapping[tuple[str, str], int], wanted: str) -> int:
    return sum(amount for (_, outcome), amount in counts.items() if outcome == wanted)


def _last(troubles: Iterable[StoredRecord], kind: str, lately_seconds: float) -> LastError | None:
    found = []
    for one in troubles:
        row = of_type(dict, one.record.get(kind)) or {}
        seconds, text = number(row.get("seconds")), of_type(str, row.get("error"))
        if seconds is None or text is None:
            continue
        age = max(0.0, seconds) + one.age_seconds
        if age <= lately_seconds:
            exception = name(row.get("exception"))
            found.append(
                LastError(task=name(row.get("task")), exception=exception, text=text[:500], age_seconds=age)
            )
    return min(found, key=lambda one: one.age_seconds, default=None)


def _blocked(reading: StoreReading) -> Iterable[Blocked]:
    for one, row in _rows(reading, "blocked"):
        seconds, quiet = number(row.get("seconds")), number(row.get("quiet_seconds"))
        if seconds is not None and quiet is not None and quiet + one.age_seconds <= HEARD_SECONDS:
            yield Blocked(process=_process(one, reading), seconds=max(0.0, seconds) + one.age_seconds)


def _hanging(reading: StoreReading) -> Iterable[Hanging]:
    for one, row in _rows(reading, "hanging"):
        count, seconds = of_type(int, row.get("count")), number(row.get("seconds"))
        if count and seconds is not None:
            yield Hanging(
                process=_process(one, reading),
                count=count,
                seconds=max(0.0, seconds) + one.age_seconds,
                tasks=names(row.get("tasks")) or (),
            )


def _elsewhere(reading: StoreReading, lately_seconds: float) -> Iterable[SentElsewhere]:
    for one in reading.troubles:
        for told in of_type(list, one.record.get("elsewhere")) or ():
            row = of_type(dict, told) or {}
            seconds, sent, failed = (number(row.get(key)) for key in ("seconds", "sent", "failed"))
            if seconds is None or sent is None or failed is None or sent + failed <= 0:
                continue
            age = max(0.0, seconds) + one.age_seconds
            if age <= lately_seconds:
                yield SentElsewhere(
                    process=_process(one, reading),
                    app=name(row.get("app")),
                    broker=name(row.get("broker")),
                    is_default=row.get("is_default") is True,
                    is_unset=row.get("is_unset") is True,
                    sent=int(sent),
                    failed=int(failed),
                    tasks=names(row.get("tasks")) or (),
                    age_seconds=age,
                )


def _rows(reading: StoreReading, kind: str) -> Iterable[tuple[StoredRecord, Mapping[str, Any]]]:
    for one in reading.troubles:
        row = of_type(dict, one.record.get(kind))
        if row is not None and one.age_seconds <= FRESH_SECONDS:
            yield one, row


def _process(one: StoredRecord, reading: StoreReading) -> str:
    """Return what people call a process: a worker's or beat's name, else its number and host."""
    for known in (*reading.workers, *reading.beats):
        if known.writer == one.writer:
            return known.name
    pid, host = of_type(int, one.record.get("pid")), of_type(str, one.record.get("host"))
    return f"process {pid or '?'} on {name(host) or '?'}"
