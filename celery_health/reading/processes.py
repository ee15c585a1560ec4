"""Which of the processes that reported under one name are shown, and whether two live at once: pure.

Several records of one name are the rule, not the exception: a worker that was restarted leaves the record of
the process before it. Two that live at once are a mistake.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from celery_health.store.base import StoredRecord

_NEVER: Final = float("inf")


class Shown(NamedTuple):
    """A record to show."""

    stored: StoredRecord
    is_doubled: bool
    """Another process of this name lives as well."""


def shown(records: Iterable[StoredRecord], lost_seconds: float) -> tuple[Shown, ...]:
    """Return the records to show, by name.

    Args:
        records: of workers, one for each process.
        lost_seconds: a worker whose record is older does not live.
    """
    by_name: dict[str, list[StoredRecord]] = defaultdict(list)
    for stored in records:
        by_name[stored.name].append(stored)
    found: list[Shown] = []
    for name in sorted(by_name):
        group = by_name[name]
        if len(group) == 1:
            found.append(Shown(group[0], False))
        else:
            found.extend(_of_one_name(group, lost_seconds))
    return tuple(found)


def _of_one_name(group: Sequence[StoredRecord], lost_seconds: float) -> Iterable[Shown]:
    kept = [
        one
        for one in group
        if not any(_replaces(other, one, lost_seconds) for other in group if other is not one)
    ]
    working = [one for one in kept if _works(one, lost_seconds)]
    doubled = {id(one) for one in working for other in working if other is not one and _overlap(one, other)}
    return [Shown(one, id(one) in doubled) for one in sorted(kept, key=_age_of_process, reverse=True)]


def _replaces(other: StoredRecord, one: StoredRecord, lost_seconds: float) -> bool:
    """Say whether `other` is the process that came after `one`, or outlives its goodbye."""
    if _has_left(one):
        went_later = _has_left(other) and other.age_seconds < one.age_seconds
        lives = not _has_left(other) and _is_fresh(other, lost_seconds) and not _came_later(one, other)
        return lives or went_later or _came_later(other, one)
    # Records of earlier versions do not say when their process came.
    if other.first_age_seconds is None:
        return _is_fresh(other, lost_seconds) and not _is_fresh(one, lost_seconds)
    return _came_later(other, one)


def _came_later(other: StoredRecord, one: StoredRecord) -> bool:
    """Say whether `other` came when `one` had said its last word: a restart, in peace or after a crash."""
    first = other.first_age_seconds
    return first is not None and first <= one.age_seconds and first < _age_of_process(one)


def _overlap(one: StoredRecord, other: StoredRecord) -> bool:
    """Say whether each of two has reported twice since the later of them came."""
    if one.first_age_seconds is None or other.first_age_seconds is None:
        return False
    came = min(one.first_age_seconds, other.first_age_seconds)
    return all(
        each.previous_age_seconds is not None and each.previous_age_seconds <= came for each in (one, other)
    )


def _works(one: StoredRecord, lost_seconds: float) -> bool:
    return _is_fresh(one, lost_seconds) and not _has_left(one) and not one.record.get("draining")


def _has_left(one: StoredRecord) -> bool:
    return bool(one.record.get("goodbye"))


def _is_fresh(one: StoredRecord, lost_seconds: float) -> bool:
    return one.age_seconds <= lost_seconds


def _age_of_process(one: StoredRecord) -> float:
    return _NEVER if one.first_age_seconds is None else one.first_age_seconds
