"""Workers of two projects consume one queue.

A message goes to whichever worker takes it first, and a worker discards what it does not register: each
project loses a part of its tasks, some half of them, and the other's log is the only place that says so. It
happens when two projects share a broker, and both leave the default queue at ``celery``.

Live proof: a worker of another project is asked what it consumes and registers, and lacks tasks that this
project sends to that queue; or tasks that it registers, and workers here do not, wait there or were lately
discarded. A worker counts as another project's when most of its tasks lie in packages that this one has none
in, and less than half are known to both; any other that lacks tasks [disagrees](#workers-disagree).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.spelling import setting_name, transport_option_added
from celery_health.doctor.wording import listed
from celery_health.records import SharedQueue, Sharer
from celery_health.text.commands import worker_command

_SHOWN = 3


class QueueShared(Rule):
    """A queue is consumed by workers of another project too."""

    number: ClassVar = 126
    name: ClassVar = "queue-shared"
    summary: ClassVar = (
        "Workers of another project consume a queue of this one: each discards the other's tasks."
    )
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        recent = (evidence.live.snapshot.recent if evidence.live else None) or {}
        for queue in shared_queues(evidence):
            others = [one for one in queue.sharers if one.is_other_project]
            lost = sorted({name for one in others for name in lacked(evidence, queue, one)})
            theirs = sorted(tasks_of_others(queue))
            discarded = (
                {name: recent[name].unknown for name in theirs if name in recent} if queue.ours else {}
            )
            waiting = evidence.live.waiting.get(queue.name) if evidence.live and queue.ours else None
            seen = waiting is not None and not waiting.names.keys().isdisjoint(theirs)
            if lost or seen or any(discarded.values()):
                yield self.finding(
                    Kind.QUEUE,
                    queue.name,
                    _message(evidence, queue, others, lost),
                    evidence={
                        "workers": list(queue.ours),
                        "others": {one.hostname: one.app_id for one in others},
                        "lost": lost,
                        "discarded": {name: count for name, count in discarded.items() if count},
                    },
                    fix=_fix(evidence, queue),
                    proven_live=True,
                )


def shared_queues(evidence: Evidence) -> tuple[SharedQueue, ...]:
    """Return the project's queues that others consume too; none without a look."""
    return evidence.live.snapshot.shared_queues if evidence.live else ()


def lacked(evidence: Evidence, queue: SharedQueue, sharer: Sharer) -> set[str]:
    """Return what this project sends to a queue, its schedule included, that a worker does not register."""
    return {*sharer.lacks, *scheduled_names(evidence, queue)}.difference(sharer.registered)


def scheduled_names(evidence: Evidence, queue: SharedQueue) -> set[str]:
    """Return the tasks that the schedule sends to a queue, those that somebody registers."""
    return {
        entry.task
        for entry in evidence.all_entries
        if entry.destination and queue.name in entry.destination.queues and entry.task in evidence.all_names
    }


def tasks_of_others(queue: SharedQueue) -> frozenset[str]:
    """Return the tasks of the other projects whose workers consume a queue."""
    others = (one.tasks for one in queue.sharers if one.is_other_project)
    return frozenset[str]().union(*others).difference(queue.sent)


def _message(evidence: Evidence, queue: SharedQueue, others: list[Sharer], lost: list[str]) -> str:
    them = " and ".join(_called(one) for one in others[:_SHOWN])
    lack = "lacks" if len(others) == 1 else "lack"
    if not queue.ours:
        return (
            f"Tasks of this project go to queue '{queue.name}', which {them} of another project consumes, "
            f"and no worker of this one: {listed(lost, _SHOWN)} would be discarded."
        )
    ours = (worker for worker in evidence.workers if worker.hostname in queue.ours)
    known = frozenset[str]().union(*(worker.registered or () for worker in ours))
    missing = sorted(tasks_of_others(queue).difference(known))
    parts = [f"{them} {lack} {listed(lost, _SHOWN)} of this project"] if lost else []
    if missing:
        lack = "lacks" if len(queue.ours) == 1 else "lack"
        parts.append(f"{listed(queue.ours, _SHOWN)} {lack} {listed(missing, _SHOWN)} of the other")
    return (
        f"Workers of two projects consume queue '{queue.name}', and each discards what it takes of the "
        f"other's tasks: {'; '.join(parts)}."
    )


def _called(sharer: Sharer) -> str:
    whose = f"app '{sharer.app_id}'" if sharer.app_id else "without celery_health"
    return f"'{sharer.hostname}' ({whose})"


def _fix(evidence: Evidence, queue: SharedQueue) -> str:
    own = _own_name(evidence)
    mine = [worker for worker in evidence.workers if worker.hostname in queue.ours]
    others = {name for worker in mine for name in worker.queues or ()} - {queue.name}
    start = f"restart web, beat and workers: {worker_command(evidence.app_name, [own, *others])}"
    if queue.name == evidence.conf.default_queue and not _is_named(evidence, queue):
        fix = f"Give this project a queue of its own, {_setting(evidence, own)}, and {start}."
    else:
        fix = (
            f"Give this project a queue of its own: write '{own}' for '{queue.name}' in its settings, "
            f"routes and schedule, and {start}."
        )
    if evidence.live and any(one.is_other_project and not one.is_foreign for one in queue.sharers):
        both = evidence.live.snapshot.app.app_id
        other = own if own != both else f"{own}-1"
        fix += f" Both report under APP_ID '{both}': set CELERY_HEALTH = {{'APP_ID': '{other}'}} as well."
    url = setting_name(evidence, "broker_url")
    if evidence.is_redis:
        prefix = transport_option_added(evidence, "global_keyprefix", f"{own}:")
        return f"{fix} Or keep all queues apart: {prefix}, or another database in {url}."
    if evidence.is_amqp:
        return f"{fix} Or keep all queues apart: a virtual host of its own in {url}."
    return fix


def _is_named(evidence: Evidence, queue: SharedQueue) -> bool:
    """Say whether the default queue is named besides, in a declaration, a route or an entry."""
    sent = {
        task.name for task in evidence.own_tasks if task.destination and queue.name in task.destination.queues
    }
    sent.update(queue.sent)
    by_route = {name for route in evidence.routes for name in route.wins}.intersection(sent)
    by_entry = scheduled_names(evidence, queue).difference(sent)
    return evidence.conf.declares_queues or bool(by_route or by_entry)


def _setting(evidence: Evidence, queue: str) -> str:
    return evidence.django.options.placed(
        "task_default_queue", f'{setting_name(evidence, "task_default_queue")} = "{queue}"'
    )


def _own_name(evidence: Evidence) -> str:
    """Return a name for a queue that nobody uses yet."""
    snapshot = evidence.live.snapshot if evidence.live else None
    taken = {queue.name for queue in snapshot.queues} if snapshot else set()
    app = re.sub(r"[^\w-]+", "-", re.split("[.:]", evidence.app_name)[0]).strip("-") or "own"
    free = (name for name in (app, f"{app}-tasks") if name not in taken)
    return next(free, f"{app}-own-tasks")
