"""The key of a queue holds something else than a list: nothing can be sent to it, and no worker can read it.

On Redis a queue is a list under its own name. Where somebody else keeps a text, a hash or a stream under that
name, each publication to it fails, and each worker that consumes it ends. Celery's names are short: the
default queue is the key ``celery``.

The broker was asked for the queue's length, and answered with its error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule

#: How Redis says so.
_WRONG_TYPE: Final = "WRONGTYPE"


class QueueNoList(Rule):
    """The key of a queue is no list."""

    number: ClassVar = 133
    name: ClassVar = "queue-no-list"
    summary: ClassVar = (
        "The key of a queue on Redis holds no list: nobody can send to it, no worker can read it."
    )
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        for queue in evidence.live.snapshot.queues if evidence.live else ():
            if evidence.is_redis and _WRONG_TYPE in (queue.error or ""):
                yield self.finding(
                    Kind.QUEUE,
                    queue.name,
                    f"The key of queue '{queue.name}' holds no list: what is sent to it is refused, and "
                    "each worker that consumes it ends.",
                    evidence={"error": queue.error},
                    fix=f"Find out who else writes to the key '{queue.name}' of this Redis, and have it "
                    "write to another database. Then give the key another name, by RENAME of Redis.",
                    proven_live=True,
                )
