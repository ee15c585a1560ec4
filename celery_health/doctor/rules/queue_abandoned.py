"""A queue holds messages, nobody consumes it, and nothing of the project sends there.

A leftover of a queue that was renamed or removed, with work in it that is never done; a ``queue=`` in some
call that is misspelt; or a queue of another project that shares the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.queue_unconsumed import senders
from celery_health.doctor.wording import is_typo
from celery_health.text.commands import purge_command, worker_command


class QueueAbandoned(Rule):
    """A queue looks abandoned."""

    number: ClassVar = 312
    name: ClassVar = "queue-abandoned"
    summary: ClassVar = "A queue holds messages, and nobody consumes it or sends there."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue; none while what workers consume is not known."""
        workers = evidence.last_workers
        if evidence.live is None or not workers:
            return
        wanted = senders(evidence)
        consumed = sorted({name for worker in workers for name in worker.queues or ()})
        held = {
            queue.name: queue.ready
            for queue in evidence.live.snapshot.queues
            if queue.ready and queue.consumers == 0 and not queue.expected_by
        }
        for queue, ready in sorted({**evidence.live.abandoned, **held}.items()):
            if queue in wanted or queue in evidence.ignored_queues:
                continue
            if queue in consumed or evidence.is_consumed(queue):
                continue
            if queue.endswith(evidence.dead_letter_suffix):
                continue  # waits for people
            nearest = next((name for name in consumed if is_typo(queue, name)), None)
            meant = f"If '{nearest}' was meant, send there; have" if nearest else "Have"
            yield self.finding(
                Kind.QUEUE,
                queue,
                f"Queue '{queue}' holds {ready} messages; no worker of this project consumes it, and none "
                "of its tasks goes there by its route.",
                evidence={"ready": ready, "nearest": nearest},
                fix=f"{meant} them done: {worker_command(evidence.app_name, [queue])}; or delete them: "
                f"{purge_command(evidence.app_name, queue)}; or add '{queue}' to IGNORED_QUEUES, if "
                "it is another's.",
            )
