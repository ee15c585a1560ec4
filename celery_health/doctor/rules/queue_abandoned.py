"""A queue holds messages, nobody consumes it, and no task that is known goes there.

A leftover of a queue that was renamed or removed, with work in it that is never done; a ``queue=`` in some
call that is misspelt; or a queue of another project that shares the broker.

No registered task goes there by its options or by its route, a library's neither, and no entry of the
schedule. What lies there is looked at where the broker allows it (Redis): it is offered to be deleted only
while nothing under a registered name is seen among it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.queue_unconsumed import one_more_worker, senders, unread_queues
from celery_health.doctor.wording import is_typo, listed
from celery_health.text.commands import purge_command

if TYPE_CHECKING:
    from celery_health.doctor.live import WaitingMessages


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
        read = {queue.name for queue in (*evidence.live.snapshot.queues, *unread_queues(evidence))}
        held = {
            queue.name: queue.ready
            for queue in evidence.live.snapshot.queues
            if queue.ready and queue.consumers == 0 and not queue.expected_by
        }
        for queue, ready in sorted({**evidence.live.abandoned, **held}.items()):
            if (queue in wanted and queue in read) or queue in evidence.ignored_queues:
                continue  # E104 says who sends there
            if queue in consumed or evidence.is_consumed(queue):
                continue
            if queue.endswith(evidence.dead_letter_suffix):
                continue  # waits for people
            yield self._finding(evidence, queue, ready, consumed)

    def _finding(self, evidence: Evidence, queue: str, ready: int, consumed: list[str]) -> Finding:
        nearest = next((name for name in consumed if is_typo(queue, name)), None)
        names = sorted(waiting.names) if (waiting := _waiting(evidence, queue)) else []
        known = [name for name in names if name in evidence.all_names]
        holds = f" There are {listed(known or names)} in it" if names else ""
        if names and not known and all(worker.registered is not None for worker in evidence.workers):
            holds += ", which no worker of this project registers"
        return self.finding(
            Kind.QUEUE,
            queue,
            f"Queue '{queue}' holds {ready} messages; no worker of this project consumes it, and no "
            f"registered task goes there by its route.{holds}{'.' if holds else ''}",
            evidence={"ready": ready, "nearest": nearest, "names": names},
            fix=_fix(evidence, queue, nearest, names, known),
        )


def _waiting(evidence: Evidence, queue: str) -> WaitingMessages | None:
    return evidence.live.waiting.get(queue) if evidence.live else None


def _fix(evidence: Evidence, queue: str, nearest: str | None, names: list[str], known: list[str]) -> str:
    """Return what may be done, the harmless first; to delete what a worker would do is not offered."""
    steps = [f"if '{nearest}' was meant, send there"] if nearest else []
    if known or not names:
        steps.append(f"have them done: {one_more_worker(evidence, queue)}")
    else:
        steps.append(f"have them done by code that registers {listed(names)}")
    steps.append(f"add '{queue}' to IGNORED_QUEUES, if it is another project's")
    if not known:
        steps.append(f"delete them, if nobody wants them: {purge_command(evidence.app_name, queue)}")
    text = "; or ".join(steps)
    return text[0].upper() + text[1:]
