"""How the last runs of tasks ended, in a row: to the script that keeps it, and from the one that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from celery_health.counters import SEPARATOR
from celery_health.records import Streak, TaskStreak
from celery_health.records.streaks import WELL
from celery_health.store import keys as limits
from celery_health.store.readings import Skipped, age_of, clean_name


def arguments(streaks: Mapping[str, Streak], key: str) -> tuple[str | int, ...]:
    """Return what streaks.lua takes, in its order; one text without any."""
    if not streaks:
        return ("",)
    ended_well = [name for name, one in streaks.items() if one is WELL or one == WELL]
    told = [(name, one) for name, one in streaks.items() if not (one is WELL or one == WELL)]
    given: list[str | int] = [key, limits.MAX_STREAKS, limits.STREAK_SECONDS, limits.ATTEMPTS_SECONDS]
    given += [len(ended_well), *ended_well, len(told)]
    for name, one in told:
        again = int(one.again_in_seconds * 1e6)
        given += (name, int(one.ended_well), one.failures, one.retries, one.attempts, again)
        given.append(one.attempts_ended)
        given += (one.failed_by, one.retried_by)
    return tuple(given)


def taken(entries: Iterable[tuple[str, str]], now: int, out: Skipped, key: str) -> Mapping[str, TaskStreak]:
    """Return the streaks by task name; an entry that cannot be read is left out of `key`."""
    found: dict[str, TaskStreak] = {}
    for name, text in entries:
        *numbers, by = text.split(" ", 6)
        failed_at, failures, retried_at, retries, attempts, due = numbers
        failed_by, _, retried_by = by.partition(SEPARATOR)
        failed_seconds, retried_seconds = age_of(failed_at, now), age_of(retried_at, now)
        if failed_seconds is None or retried_seconds is None or max(map(len, numbers)) > _MOST_DIGITS:
            out.add(key)
            continue
        found[clean_name(name)] = TaskStreak(
            failures=int(failures),
            failed_by=failed_by,
            failed_seconds=failed_seconds if int(failures) else 0.0,
            retries=int(retries),
            retried_by=retried_by,
            retried_seconds=retried_seconds if int(retries) else 0.0,
            attempts=int(attempts),
            overdue_seconds=(now - int(due)) / 1e6 if int(attempts) else 0.0,
        )
    return found


#: Of a number that Lua holds exactly.
_MOST_DIGITS = 16
