"""A worker does not register tasks that are sent to a queue which it consumes.

Whichever of those messages it takes, it discards. It happens during deploys, and when a worker was left out
of one. Workers of [another project](#queue-shared) are not spoken of here.

Every own task is sent, by the app's real router, to some queues; each live worker that consumes one of them
must register it, one without celery_health or with another APP_ID too. Workers that skip Django's checks
(``CELERY_SKIP_CHECKS``) lack what only the project's views import. A task that no consumer of its queue
registers, but workers of other queues do, is left alone: it may be sent with ``queue=``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.queue_shared import lacked, shared_queues
from celery_health.doctor.rules.tasks_unimported import how_to_import
from celery_health.doctor.wording import listed
from celery_health.records import SharedQueue, Sharer


class WorkersDisagree(Rule):
    """A consumer of a queue lacks tasks that go there."""

    number: ClassVar = 111
    name: ClassVar = "workers-disagree"
    summary: ClassVar = "A worker lacks tasks that are sent to a queue which it consumes."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per worker, and one per queue whose consumers all lack a task."""
        lacking: dict[str, set[str]] = {}
        nowhere: dict[str, list[str]] = {}
        scheduled = {entry.task for entry in evidence.all_entries}
        shared = shared_queues(evidence)
        others = {one.hostname for queue in shared for one in queue.sharers if one.is_other_project}
        workers = [worker for worker in evidence.workers if worker.hostname not in others]
        registered = frozenset().union(*(w.registered or () for w in workers))
        for task in evidence.own_tasks:
            queues = task.destination.queues if task.destination else ()
            knowing = [
                worker
                for worker in evidence.consumers(queues)
                if worker.registered is not None and worker.hostname not in others
            ]
            without = [w.hostname for w in knowing if task.name not in (w.registered or ())]
            if len(without) < len(knowing):
                for hostname in without:
                    lacking.setdefault(hostname, set()).add(task.name)
            elif without and task.name not in registered and task.name not in scheduled:
                nowhere.setdefault(queues[0], []).append(task.name)
        for hostname, tasks in sorted(lacking.items()):
            if not tasks <= scheduled:  # else each entry says it
                yield self._worker(evidence, hostname, sorted(tasks))
        for queue, names in sorted(nowhere.items()):
            yield self._queue(evidence, queue, names)
        for shared_queue in (queue for queue in shared if queue.is_used):
            for sharer in shared_queue.sharers:
                lacks = lacked(evidence, shared_queue, sharer)
                if lacks and sharer.is_foreign and not sharer.is_other_project:
                    yield self._stranger(shared_queue, sharer, sorted(lacks))

    def _worker(self, evidence: Evidence, hostname: str, tasks: list[str]) -> Finding:
        worker = next(w for w in evidence.workers if w.hostname == hostname)
        queues = list(worker.queues or ())
        return self.finding(
            Kind.WORKER,
            hostname,
            f"Worker '{hostname}' consumes {listed(queues)} and does not register {listed(tasks)}, which "
            "other "
            "workers there do: what it takes of those is discarded.",
            evidence={"tasks": tasks, "queues": queues, "versions": dict(worker.versions)},
            fix=f"Restart '{hostname}' with the code of the others, or have it consume queues of its own "
            "(-Q).",
            proven_live=True,
        )

    def _stranger(self, queue: SharedQueue, sharer: Sharer, tasks: list[str]) -> Finding:
        whose = f"of app '{sharer.app_id}'" if sharer.app_id else "without celery_health"
        return self.finding(
            Kind.WORKER,
            sharer.hostname,
            f"Worker '{sharer.hostname}' ({whose}) consumes '{queue.name}' and does not register "
            f"{listed(tasks)}, sent there by this project: what it takes of those is discarded.",
            evidence={"tasks": tasks, "queues": [queue.name]},
            fix=f"Restart '{sharer.hostname}' with the code of this project, or have it consume queues of "
            "its own (-Q).",
            proven_live=True,
        )

    def _queue(self, evidence: Evidence, queue: str, tasks: list[str]) -> Finding:
        workers = [worker.hostname for worker in evidence.consumers([queue])]
        return self.finding(
            Kind.QUEUE,
            queue,
            f"No worker registers {listed(tasks)}, which are sent to queue '{queue}': {listed(workers)} "
            "would "
            "discard them.",
            evidence={"tasks": tasks, "workers": workers},
            fix=f"Restart {listed(workers)} with the code that this process has. If they have it, "
            f"have them import it: {how_to_import(evidence, evidence.tasks[tasks[0]].module)}.",
            proven_live=True,
        )
