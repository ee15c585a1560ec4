"""Who else consumes our queues, and what of ours they would discard: one pure function.

The verdict and the doctor take its value. A worker whose names are not known proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from celery_health.reading.schedules import schedule_entries
from celery_health.records import Beat, SharedQueue, Sharer, Worker
from celery_health.topology import Topology

#: Celery's own tasks, which every worker registers.
_BUILTIN = "celery."


def is_other_project(registered: Iterable[str], topology: Topology) -> bool:
    """Say whether these are the tasks of another project than ours, beyond doubt.

    Most lie in packages that this project has no task in, and less than half of the smaller number are known
    to both: so neither an earlier version nor a worker for some of the tasks makes another project. The tasks
    of apps that are merely installed here tell nothing, nor do names without a package.
    """
    own = topology.project_tasks or topology.own_tasks
    installed = topology.own_tasks - own
    theirs = {name for name in registered if not name.startswith(_BUILTIN) and name not in installed}
    if not theirs or not own:
        return False
    packages = {_package(name) for name in topology.own_tasks}
    strange = [name for name in theirs if "." in name and _package(name) not in packages]
    return 2 * len(strange) >= len(theirs) and 2 * len(theirs & own) < min(len(theirs), len(own))


def _package(name: str) -> str:
    return name.partition(".")[0]


def shared_queues(
    workers: Sequence[Worker],
    strangers: Sequence[Worker],
    topology: Topology,
    beats: tuple[Beat, ...] = (),
    *,
    sent_to: Mapping[str, Collection[str]] | None = None,
    ignored: Collection[str] = (),
) -> tuple[SharedQueue, ...]:
    """Return our queues that workers consume which are not ours, and what those lack.

    Args:
        workers: ours, by what they say of themselves.
        strangers: other applications' that answered.
        topology: where our tasks go, and which they are.
        beats: what they send, and where to.
        sent_to: queue → the tasks that this project is known to have sent there.
        ignored: queues that are somebody else's business.
    """
    known: dict[frozenset[str] | None, bool] = {None: False}
    ours: list[Worker] = []
    others: list[tuple[Worker, bool]] = []
    for worker in workers:
        if worker.state.takes_messages:
            registered = worker.registered
            if registered not in known:
                known[registered] = is_other_project(registered or (), topology)
            if known[registered]:
                others.append((worker, False))
            else:
                ours.append(worker)
    others += [(one, True) for one in strangers if one.state.is_live and one.registered is not None]
    if not others:
        return ()
    sent = _sent(topology)
    by_beat = _sent_by(beats)
    found = []
    for queue in sorted({name for one, _ in others for name in one.queues or ()}.difference(ignored)):
        takers = tuple(worker.hostname for worker in ours if queue in (worker.queues or ()))
        # Where no worker of ours takes, the router's word is no proof that anything is ever sent.
        known_sent = topology.own_tasks.intersection((sent_to or {}).get(queue, ()))
        going = sent.get(queue, frozenset()) if takers else known_sent
        names = tuple(sorted({*going, *by_beat.get(queue, ())}))
        if takers or names or _is_scheduled(queue, topology):
            found.append(
                SharedQueue(
                    name=queue,
                    sharers=tuple(
                        _sharer(one, names, topology, is_foreign=is_foreign)
                        for one, is_foreign in others
                        if queue in (one.queues or ())
                    ),
                    ours=takers,
                    sent=names,
                    is_used=bool(takers or names),
                )
            )
    return tuple(found)


def _sharer(worker: Worker, sent: Iterable[str], topology: Topology, *, is_foreign: bool) -> Sharer:
    registered = worker.registered or frozenset()
    return Sharer(
        hostname=worker.hostname,
        registered=registered,
        lacks=tuple(name for name in sent if name not in registered),
        app_id=worker.app_id,
        is_foreign=is_foreign,
        is_other_project=is_other_project(registered, topology),
    )


def _is_scheduled(queue: str, topology: Topology) -> bool:
    return any(reason.startswith("beat:") for reason in topology.expected.get(queue, ()))


def _sent(topology: Topology) -> Mapping[str, frozenset[str]]:
    """Return queue → the tasks of our own that the router sends there."""
    return {
        queue: frozenset(
            name for kind, _, name in (reason.partition(":") for reason in reasons) if kind == "task"
        )
        for queue, reasons in topology.expected.items()
    }


def _sent_by(beats: tuple[Beat, ...]) -> Mapping[str, frozenset[str]]:
    """Return queue → the tasks that enabled entries send there; Celery's own left out."""
    found: dict[str, set[str]] = {}
    for entry in schedule_entries(beats) or ():
        if entry.queue and entry.enabled and entry.task and not entry.task.startswith(_BUILTIN):
            found.setdefault(entry.queue, set()).add(entry.task)
    return {queue: frozenset(names) for queue, names in found.items()}
