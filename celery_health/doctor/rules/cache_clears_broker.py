"""A cache lies in the database of the broker: clearing it deletes every message that waits.

To clear a cache in Redis is FLUSHDB, whatever prefix its keys have: `cache.clear()` of Django's own cache, of
django-redis and django-valkey, `invalidate_all()` of django-cacheops. Nothing is logged, nothing fails: what
waited, what was retried later and what workers held is gone. In the database of the results, callers and
chords wait for ever; in that of the store, what celery_health has counted is gone.

The addresses in `CACHES` are compared with those of Celery as they are written: `localhost`, `127.0.0.1` and
`::1` are one, a port that is left out is 6379, a database 0; of sentinels, theirs with the master's name. No
name is resolved: two names of one host are not seen to be one. A cache class with a `clear()` of its own is
left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule

#: What a database holds → whose it is, and what is gone with it.
_LOSSES: Final[Mapping[str, tuple[str, str]]] = {
    "broker": ("the broker", "every message that waits or is held is deleted, and nothing says so"),
    "result backend": ("the results", "every result is deleted, and chords that run never end"),
    "store": ("celery_health's store", "all that was counted and reported is deleted"),
    "schedule": ("RedBeat's schedule", "every entry that is not in the settings is deleted"),
}


class CacheClearsBroker(Rule):
    """A cache shares a database of Redis with messages."""

    number: ClassVar = 228
    name: ClassVar = "cache-clears-broker"
    summary: ClassVar = "A cache lies in the broker's database: clearing it deletes all messages."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per cache."""
        for cache in evidence.caches:
            whose = " and of ".join(_LOSSES[what][0] for what in cache.holds)
            losses = "; ".join(_LOSSES[what][1] for what in cache.holds)
            yield self.finding(
                Kind.SETTING,
                cache.setting,
                f"{cache.setting} is in database {cache.database} of Redis, which is that of {whose}: "
                f"{cache.clears} is FLUSHDB, and {losses}.",
                evidence={"cache": cache.url, "database": cache.database, "shared_with": list(cache.holds)},
                fix=f"{cache.line}, or give it a Redis of its own."
                if cache.line
                else "Give it a Redis of its own: no database of this one is free.",
            )
