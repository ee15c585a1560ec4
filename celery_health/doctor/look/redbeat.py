"""The entries that RedBeat keeps in Redis."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from celery.schedules import crontab, schedule
from kombu import Connection

from celery_health.connections.redis import RedisLink, is_redis
from celery_health.connections.scripts import script
from celery_health.deadline import Deadline
from celery_health.doctor.live import KeptEntries
from celery_health.doctor.static.entries import entry_facts
from celery_health.reading.schedules import sending_beats
from celery_health.records import Snapshot
from celery_health.text.masking import describe_error
from celery_health.topology import Resolver

if TYPE_CHECKING:
    from celery import Celery

SOURCE: Final = "redbeat"
#: Entries beyond are not looked at.
MOST_ENTRIES: Final = 1000
#: Seconds for the whole look.
LOOK_SECONDS: Final = 2.0

#: The schedule's keys, and the definition of each that is a hash: one round trip.
_ENTRIES: Final = script("""
local found = {}
for _, key in ipairs(redis.call('ZRANGE', ARGV[1], 0, tonumber(ARGV[2]) - 1)) do
  local definition = redis.call('HGET', key, 'definition')
  if definition then found[#found + 1] = definition end
end
return found
""")


def redbeat_entries(
    app: Celery, snapshot: Snapshot, configured: Collection[str], deadline: Deadline, notes: list[str]
) -> KeptEntries:
    """Return the enabled entries; none where nothing says that RedBeat is used.

    Of the `configured` ones, those are told that are disabled there.
    """
    if not _is_used(app, snapshot):
        return KeptEntries()
    try:
        resolver = Resolver(app)
        kept = list(_definitions(app, deadline.within(LOOK_SECONDS)))
        return KeptEntries(
            entries=tuple(
                entry_facts(app, resolver, str(entry["name"]), entry, source=SOURCE)
                for entry in kept
                if entry.get("enabled", True)
            ),
            is_read=True,
            switched_off=frozenset(
                str(entry["name"])
                for entry in kept
                if not entry.get("enabled", True) and entry["name"] in configured
            ),
        )
    except Exception as error:  # Redis is down or refuses, or task_routes cannot be read
        notes.append(f"the entries of RedBeat: {describe_error(error)}")
        return KeptEntries()


def _is_used(app: Celery, snapshot: Snapshot) -> bool:
    beats = sending_beats(snapshot.beats)
    if beats:
        return any("redbeat" in (beat.scheduler or "").lower() for beat in beats)
    conf: Any = app.conf
    return "redbeat" in str(conf.beat_scheduler).lower() or conf.get("redbeat_redis_url") is not None


def _definitions(app: Celery, deadline: Deadline) -> Iterator[dict[str, Any]]:
    conf: Any = app.conf
    url = conf.get("redbeat_redis_url")
    use_ssl = conf.get("redbeat_redis_use_ssl") or conf.broker_use_ssl
    source = Connection(url, ssl=use_ssl) if url else app.connection_for_write()
    if not is_redis(source):
        raise ValueError("redbeat_redis_url names no Redis that can be read")
    prefix = conf.get("redbeat_key_prefix") or "redbeat:"
    link = RedisLink(source)
    try:
        found = link.run(_ENTRIES, (), (f"{prefix}:schedule", MOST_ENTRIES), deadline=deadline)
    finally:
        link.close()
    for definition in found:
        entry = json.loads(definition, object_hook=_decoded)
        if isinstance(entry.get("task"), str):
            yield entry


def _decoded(value: dict[str, Any]) -> Any:
    """Return an object as RedBeat's own decoder does (``redbeat.decoder``), without its other libraries."""
    kind = value.get("__type__")
    if kind == "interval":
        return schedule(timedelta(seconds=float(value["every"])))
    if kind == "crontab":
        return crontab(**{field: text for field, text in value.items() if field != "__type__"})
    return value
