"""Beat sends a task under a name that its consumers do not know.

A worker that takes a message under an unknown name logs an error and discards it: the work is never done,
nothing is retried, and nobody is told. It happens when a task is renamed or moved and the schedule is not.

Statically, the name is looked for in the registry of this process, after everything was imported that a
worker imports by its start: task modules, and what Django's system checks bring along (the URLs, with the
views and what those import). Nothing is said while that cannot be imported here. An entry of another
service, in a package and a queue that are not the project's, is left alone. Live, every worker that
consumes the entry's queue must register the name: if one does not, the runs that it happens to take are
lost. Where nobody consumes that queue, it is proven by no worker registering the name at all: one that is
started for the queue would only discard what waits there. Entries in django-celery-beat's tables and in
RedBeat are read live only; what beat copies there from the settings is the same entry, and is put right in
the settings. Where the two differ, the copy is what is sent until beat starts again: an entry of the
settings that waits for that is a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import EntryFacts
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule
from celery_health.doctor.rules.tasks_unimported import how_to_import
from celery_health.doctor.wording import listed, meant
from celery_health.records import Worker, WorkerState


class BeatTaskUnregistered(Rule):
    """A beat entry names a task that no consumer of its queue registers."""

    number: ClassVar = 101
    name: ClassVar = "beat-task-unregistered"
    summary: ClassVar = "A beat entry names a task that a consumer of its queue does not register."
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per entry."""
        for entry in evidence.all_entries:
            queues = entry.destination.queues if entry.destination else ()
            knowing = [w for w in evidence.consumers(queues) if w.registered is not None]
            if entry.differs_in is not None:
                # Not sent yet: beat has another one of this name until it starts again.
                is_unknown = evidence.knows_all_names and entry.task not in evidence.all_names
                if is_unknown and is_ours(evidence, entry):
                    yield self._unknown(evidence, entry, proven_live=False)
            elif knowing:
                lacking = [w for w in knowing if entry.task not in (w.registered or ())]
                if lacking:
                    yield self._live(evidence, entry, knowing, lacking)
            elif entry.task not in evidence.all_names and is_ours(evidence, entry):
                proven = _nobody_can_know(evidence, queues)
                if proven or evidence.knows_all_names:
                    yield self._unknown(evidence, entry, proven_live=proven)

    def _unknown(self, evidence: Evidence, entry: EntryFacts, *, proven_live: bool) -> Finding:
        nearest = meant(entry.task, evidence.all_names, evidence.code.tasks_at)
        proof = {"task": entry.task, "nearest": list(nearest), "source": entry.source}
        if proven_live:
            why = "which no worker registers: whichever took it would discard it."
            proof["workers"] = [worker.hostname for worker in evidence.workers]
        else:
            why = "which is no registered task: workers would discard it."
        return self.finding(
            Kind.BEAT_ENTRY,
            entry.name,
            f"Beat entry '{entry.name}' sends '{entry.task}', {why}",
            evidence=proof,
            fix=_fix(evidence, entry, nearest),
            proven_live=proven_live,
        )

    def _live(
        self, evidence: Evidence, entry: EntryFacts, knowing: list[Worker], lacking: list[Worker]
    ) -> Finding:
        queues = listed(entry.destination.queues if entry.destination else ())
        registered = frozenset().union(*(worker.registered or () for worker in knowing))
        nearest = meant(entry.task, registered, evidence.code.tasks_at)
        names = [worker.hostname for worker in lacking]
        if len(lacking) == len(knowing):
            message = (
                f"Beat entry '{entry.name}' sends '{entry.task}', which no consumer of {queues} registers."
            )
            fix = _fix(evidence, entry, nearest)
        else:
            message = (
                f"Beat entry '{entry.name}' sends '{entry.task}', and {listed(names)} of the consumers of "
                f"{queues} does not register it: the runs that it takes are discarded."
            )
            fix = (
                f"Restart {listed(names)} with the same code as the others, or have it consume other queues."
            )
        return self.finding(
            Kind.BEAT_ENTRY,
            entry.name,
            message,
            evidence={"task": entry.task, "nearest": list(nearest), "workers": names, "source": entry.source},
            fix=fix,
            proven_live=True,
        )


def _nobody_can_know(evidence: Evidence, queues: Collection[str]) -> bool:
    """Say whether all workers tell what they register, and none consumes `queues`, nor may while it is up."""
    if evidence.live is None or not evidence.workers or evidence.scaled_to_zero.intersection(queues):
        return False
    told = all(worker.registered is not None for worker in evidence.workers)
    silent = any(worker.state is WorkerState.UNKNOWN for worker in evidence.live.snapshot.workers)
    consumers = {queue.name: queue.consumers for queue in evidence.live.snapshot.queues}
    return told and not silent and bool(queues) and all(consumers.get(queue) == 0 for queue in queues)


def is_ours(evidence: Evidence, entry: EntryFacts) -> bool:
    """Say whether the project's own workers are who would take it: else another service may know the name."""
    queues = entry.destination.queues if entry.destination else ()
    return evidence.is_own_name(entry.task) or any(queue in evidence.own_queues for queue in queues)


def _fix(evidence: Evidence, entry: EntryFacts, nearest: tuple[str, ...]) -> str:
    module = entry.task.rpartition(".")[0]
    for unimported in evidence.code.unimported:
        if entry.task in unimported.tasks or module == unimported.module:
            return f"Have workers import its module: {how_to_import(evidence, unimported.module)}."
    if not nearest:
        return f"Define '{entry.task}', or remove the entry."
    if entry.source == "settings":
        return f"Set the entry's task to '{nearest[0]}'."
    return f"Set the entry's task to '{nearest[0]}', or disable it ({entry.source})."
