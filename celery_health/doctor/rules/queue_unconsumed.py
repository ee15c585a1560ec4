"""Tasks go to a queue that nobody consumes.

They wait there for ever, and their callers see them pending. It happens when a worker is started without
``-Q`` for a queue that routes, or a backend of Django's tasks, name, or when a name is mistyped on one side.

Live, every worker answered and none consumes a queue where the schedule or the routes of the project's own
tasks lead; where no worker is left, none of those that were there did. (A binding proves nothing: the
producer makes it.) A queue that only a row of a table, or RedBeat, names is among them while no beat runs,
where Redis is the broker and no other worker listens there. Where no worker registers any of what goes there,
that is said too: a worker alone is then no help, since it would discard what it takes. Statically there is a
proof only where ``task_queues`` lists what workers consume by default and the name in the route is one slip
of the finger from a listed one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import EntryFacts
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule
from celery_health.doctor.rules.beat_task_unregistered import is_ours
from celery_health.doctor.wording import is_typo, listed
from celery_health.records import QueueState, WorkerState
from celery_health.text.commands import add_consumer_command, worker_command

#: Queues that one worker may be told to take.
_MOST_TOGETHER: Final = 20


class QueueUnconsumed(Rule):
    """A queue is expected to be consumed, and is not."""

    number: ClassVar = 104
    name: ClassVar = "queue-unconsumed"
    summary: ClassVar = "Tasks or beat entries go to a queue that nobody consumes."
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        workers = evidence.last_workers
        if evidence.live is None or not workers:
            yield from self._static(evidence)
            return
        reasons = senders(evidence)
        # That nobody is left who consumed it is for the verdict to say.
        left = {name for worker in workers if not worker.state.is_live for name in worker.queues or ()}
        for queue in (*evidence.live.snapshot.queues, *unread_queues(evidence)):
            sent = reasons.get(queue.name, ())
            # Of the settings' entries beat may send none, or another of that name.
            stale = {f"beat:{name}" for name in _unsent(evidence)} - set(sent)
            why = tuple(one for one in dict.fromkeys([*queue.expected_by, *sent]) if one not in stale)
            if why and queue.consumers == 0 and queue.name not in left | evidence.scaled_to_zero:
                yield self._live(evidence, queue, why)

    def _static(self, evidence: Evidence) -> Iterable[Finding]:
        for queue, why in senders(evidence).items():
            right = misspelt_queue(evidence, queue)
            if right is not None:
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"{_subject(why)} to queue '{queue}', which is not in task_queues: "
                    f"'{right}' is, and workers consume that.",
                    evidence={
                        "nearest": right,
                        "sent_by": list(why),
                        "declared": sorted(evidence.declared_queues),
                    },
                    fix=f"Write '{right}'.",
                )

    def _live(self, evidence: Evidence, queue: QueueState, why: tuple[str, ...]) -> Finding:
        consumed: dict[str, list[str]] = {}
        for worker in evidence.last_workers:
            consumed.setdefault(worker.hostname, []).extend(worker.queues or ())
        names = sorted({name for queues in consumed.values() for name in queues})
        typo = next((name for name in names if _is_slip(name, queue.name)), None)
        waiting = f" {queue.ready} wait there." if queue.ready else ""
        unknown = _known_by_nobody(evidence, why)
        if unknown:
            waiting += (
                f" No worker registers {listed(unknown)} either: one that is started for the queue alone "
                f"would discard {'it' if len(unknown) == 1 else 'them'}."
            )
        cancelled = next((w for w in evidence.workers if queue.name in w.cancelled_queues), None)
        if cancelled is not None:
            undo = add_consumer_command(evidence.app_name, queue.name, cancelled.hostname)
            fix = f"'{cancelled.hostname}' was told to consume it no more (cancel_consumer). Undo it: {undo}"
        elif typo is not None:
            slipped = {name for queues in consumed.values() if typo in queues for name in queues}
            right = _command(evidence, queue.name, sorted(slipped - {typo}))
            fix = (
                f"Workers consume '{typo}': name the queue alike on both sides. If '{queue.name}' is right: "
            )
            fix += right
        elif any(
            one.name == queue.name and one.is_renamed and not one.is_broadcast for one in evidence.queues
        ):
            # Each host has a queue of another name: all that task_queues lists is taken without -Q.
            beside = [worker.hostname for worker in evidence.workers]
            fix = f"Start a worker of all queues: {worker_command(evidence.app_name, beside=beside)}"
        else:
            fix = f"Start a worker for it: {one_more_worker(evidence, queue.name)}"
            # Of a large system no worker takes all, and the command would be cut.
            if consumed and len(names) <= _MOST_TOGETHER:
                fix += f", or have one take it too: {_command(evidence, queue.name, names)}"
            # Of an entry that should be ours, E101 says what to do first.
            if unknown and not any(is_ours(evidence, entry) for entry in _entries(evidence, why)):
                fix = (
                    f"If workers of another project take {listed(unknown)}, add '{queue.name}' to "
                    "IGNORED_QUEUES. Else name a task that workers register, or give them the code; then: "
                    f"{fix[0].lower()}{fix[1:]}"
                )
        return self.finding(
            Kind.QUEUE,
            queue.name,
            f"{_subject(why, was_sent=_is_seen_alone(evidence, queue.name, why))} to queue '{queue.name}', "
            f"which no worker consumes.{waiting}",
            evidence={"sent_by": list(why), "workers": consumed, "ready": queue.ready, "nearest": typo},
            fix=fix,
            proven_live=True,
        )


def _is_of_hosts(evidence: Evidence, queue: str) -> bool:
    """Say whether a name is only what queues of several hosts have in common."""
    return any(one.name == queue and one.is_renamed and not one.is_broadcast for one in evidence.queues)


def _is_slip(written: str, right: str) -> bool:
    """Say whether a worker's ``-Q`` has `written` for `right`; ``-Q "a, b"`` keeps the blank."""
    return written != right == written.strip() or is_typo(written, right)


def _command(evidence: Evidence, queue: str, names: list[str]) -> str:
    """Return the command of a worker that takes `queue` beside what workers take now."""
    states = evidence.live.snapshot.queues if evidence.live else ()
    sent_to = {state.name for state in states if state.expected_by}
    # Pasted where that worker still runs, it must not hide it.
    beside = [worker.hostname for worker in evidence.workers]
    return worker_command(evidence.app_name, [queue, *sent_to.intersection(names)], names, beside)


def unread_queues(evidence: Evidence) -> tuple[QueueState, ...]:
    """Return the queues of entries in tables or RedBeat that no reading knows, and nobody consumes.

    No beat has told of them. None where somebody may consume them who is not known: a worker that did not
    answer, or another application's; nor where the broker has counts of consumers, and was not asked.
    """
    live = evidence.live
    if live is None or not _are_all_known(evidence):
        return ()
    read = {queue.name for queue in live.snapshot.queues}
    consumed = {name for worker in live.snapshot.workers for name in worker.queues or ()}
    names = [
        name
        for entry in evidence.all_entries
        for name in (entry.destination.queues if entry.destination and not entry.differs_in else ())
        if name not in read | consumed
    ]
    ready = live.abandoned
    return tuple(QueueState(name=name, consumers=0, ready=ready.get(name)) for name in dict.fromkeys(names))


def _are_all_known(evidence: Evidence) -> bool:
    """Say whether the workers that live are all that listen at the broker, and each says what it consumes."""
    live = evidence.live
    if live is None or not evidence.is_redis or not evidence.workers or live.snapshot.importing:
        return False
    snapshot = live.snapshot
    listening = snapshot.inspection.roster if snapshot.inspection.complete else live.control_names
    if listening is None or snapshot.inspection.silent:
        return False
    gone = {worker.hostname for worker in snapshot.workers if worker.state is WorkerState.GONE}
    told = {worker.hostname for worker in evidence.workers if worker.queues is not None}
    return {worker.hostname for worker in snapshot.workers} | {*listening} <= told | gone


def one_more_worker(evidence: Evidence, queue: str) -> str:
    """Return the command of a worker for `queue` that may run beside those that are there."""
    return worker_command(evidence.app_name, [queue], beside=[one.hostname for one in evidence.workers])


def _unsent(evidence: Evidence) -> frozenset[str]:
    """Return the entries of the settings that beat does not send, by what it keeps outside them."""
    off = evidence.live.switched_off if evidence.live else frozenset()
    return off.union(entry.name for entry in evidence.all_entries if entry.differs_in)


def senders(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """Return queue → who sends there: ``task:<name>``, ``beat:<entry>``."""
    found = {queue: [f"task:{name}" for name in names] for queue, names in evidence.sent_to().items()}
    for entry in evidence.all_entries:
        for queue in entry.destination.queues if entry.destination and not entry.differs_in else ():
            found.setdefault(queue, []).append(f"beat:{entry.name}")
    return {
        queue: tuple(dict.fromkeys(why))
        for queue, why in sorted(found.items())
        if queue not in evidence.ignored_queues
    }


def misspelt_queue(evidence: Evidence, queue: str) -> str | None:
    """Return the queue in ``task_queues`` of which `queue`, which is not in there, is a misspelling."""
    if not evidence.conf.declares_queues or queue in evidence.declared_queues:
        return None
    return next((name for name in sorted(evidence.declared_queues) if is_typo(queue, name)), None)


def _known_by_nobody(evidence: Evidence, why: tuple[str, ...]) -> list[str]:
    """Return the tasks that go to a queue, if no worker that lives registers one; none where that is open."""
    told = all(worker.registered is not None for worker in evidence.workers)
    entries = _entries(evidence, why)
    if not told or not evidence.workers or {f"beat:{entry.name}" for entry in entries} != set(why):
        return []
    tasks = {entry.task for entry in entries}
    return [] if tasks & evidence.all_names else sorted(tasks)


def _entries(evidence: Evidence, why: tuple[str, ...]) -> list[EntryFacts]:
    entries = (entry for entry in evidence.all_entries if not entry.differs_in)
    return [entry for entry in entries if f"beat:{entry.name}" in why]


def _is_seen_alone(evidence: Evidence, queue: str, why: tuple[str, ...]) -> bool:
    """Say whether all that is known to go there are messages: by a call, or before a route was changed."""
    if not all(reason.startswith("task:") for reason in why):
        return False
    goes = [task.destination if (task := evidence.tasks.get(reason[5:])) else None for reason in why]
    return all(where is not None and queue not in where.queues for where in goes)


def _subject(why: tuple[str, ...], *, was_sent: bool = False) -> str:
    kinds = {"task": "task", "beat": "beat entry", "setting": "EXPECTED_QUEUES"}
    names = [
        f"{kinds.get(kind, kind)} '{name}'" if name else kinds.get(kind, kind)
        for kind, _, name in (reason.partition(":") for reason in why[:1])
    ]
    others = f" and {len(why) - 1} more" if len(why) > 1 else ""
    text = f"{names[0]}{others}"
    text = text[0].upper() + text[1:]
    if was_sent:
        return f"{text} {'were' if others else 'was'} sent"
    return text + (" go" if others else " goes")
