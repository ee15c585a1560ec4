"""When each entry of the schedule was last sent, by any beat: what entries.lua takes, and what it kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from celery_health.store import keys as limits
from celery_health.store.base import Publication, StoredEntry
from celery_health.store.keys import Keys
from celery_health.store.readings import Skipped, age_of, clean_name


def arguments(own: Publication, keys: Keys) -> tuple[str | bytes | int, ...]:
    """Return what entries.lua takes; little for whoever has no schedule."""
    if not own.entries:
        return ("",)
    bounds = (limits.ENTRY_SECONDS, limits.MAX_ENTRIES, limits.ENTRY_ABSENCE_SECONDS)
    given: list[str | bytes | int] = [keys.entries, *bounds, len(own.entries)]
    for entry in own.entries:
        done = entry.done_seconds
        age = "" if done is None else int(max(0.0, done) * 1e6)
        given += (entry.name.encode("utf-8", "replace"), entry.fingerprint, age)
    return tuple(given)


def taken(entries: Iterable[tuple[str, str]], now: int, out: Skipped, key: str) -> Mapping[str, StoredEntry]:
    """Return what is kept of each entry by name; one that cannot be read is left out of `key`."""
    found: dict[str, StoredEntry] = {}
    for name, text in entries:
        if not name:
            continue
        _, since, done, fingerprint = text.split(" ")
        since_seconds, done_seconds = age_of(since, now), age_of(done, now)
        if since_seconds is None or done_seconds is None:
            out.add(key)
            continue
        found[clean_name(name)] = StoredEntry(
            fingerprint=fingerprint,
            listed_seconds=since_seconds,
            done_seconds=done_seconds if int(done) else None,
        )
    return found
