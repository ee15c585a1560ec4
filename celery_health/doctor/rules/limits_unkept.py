"""Tasks have limits, and a worker that runs them has a pool that keeps none.

Only prefork ends a run at its time limit, and a process after ``worker_max_tasks_per_child`` or
``worker_max_memory_per_child``. Threads and eventlet take no notice of any limit, gevent keeps the hard time
limit alone: nothing is logged, and a task that hangs keeps its slot for ever.

It is seen live: a worker of such a pool consumes a queue where tasks with a limit go. A worker of the solo
pool is left out: it is mostly one for development, or alone in a container that is ended from outside. Limits
per child are reported where no worker has the pool for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.spelling import assigned
from celery_health.doctor.wording import listed
from celery_health.records import Worker

_WITHOUT_LIMITS: Final = ("threads", "eventlet")
_PER_CHILD: Final = ("worker_max_tasks_per_child", "worker_max_memory_per_child")


class LimitsUnkept(Rule):
    """Limits that the pool of a live worker does not keep."""

    number: ClassVar = 222
    name: ClassVar = "limits-unkept"
    summary: ClassVar = "Tasks have limits, and a worker that runs them has a pool that keeps none."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding for time limits, and one for each limit per child."""
        yield from self._time_limits(evidence)
        yield from self._per_child(evidence)

    def _time_limits(self, evidence: Evidence) -> Iterator[Finding]:
        kept_by_none = {
            worker.hostname: (worker, tasks)
            for worker in evidence.workers
            if (tasks := [task.name for task in evidence.own_tasks if _is_unkept(worker, task)])
        }
        if not kept_by_none:
            return
        names = sorted({name for _, tasks in kept_by_none.values() for name in tasks})
        pools = {hostname: worker.pool for hostname, (worker, _) in kept_by_none.items()}
        soft = set(pools.values()) == {"gevent"}
        yield self.finding(
            Kind.SETTING,
            "task_soft_time_limit" if soft else "task_time_limit",
            f"{listed(names)} {'has' if len(names) == 1 else 'have'} a time limit, and {_of(pools)} no "
            f"{'soft one' if soft else 'time limit'}: a run that hangs is never ended there.",
            evidence={"workers": pools, "tasks": names},
            fix=f"{assigned(evidence, 'task_time_limit', 600)}, a hard limit, which gevent keeps; or "
            "time_limit on the tasks."
            if soft
            else "Run these tasks on a worker with --pool prefork, or give what they wait for a timeout.",
        )

    def _per_child(self, evidence: Evidence) -> Iterator[Finding]:
        pools = {worker.hostname: worker.pool for worker in evidence.workers}
        if not pools or not set(pools.values()) <= {*_WITHOUT_LIMITS, "gevent"}:
            return
        conf = evidence.conf
        values = (conf.most_tasks_per_child, conf.most_memory_per_child)
        for option, value in zip(_PER_CHILD, values, strict=True):
            if value:
                yield self.finding(
                    Kind.SETTING,
                    option,
                    f"{option} is {value}, and {_of(pools)} no such limit: no process is there to replace.",
                    evidence={"workers": pools, "value": value},
                    fix="Run workers with --pool prefork, or leave it out.",
                )


def _is_unkept(worker: Worker, task: TaskFacts) -> bool:
    """Say whether `worker` runs `task` and keeps none of its time limits."""
    queues = task.destination.queues if task.destination else ()
    if not set(queues) & set(worker.queues or ()):
        return False
    if worker.pool in _WITHOUT_LIMITS:
        return bool(task.time_limit_seconds or task.soft_time_limit_seconds)
    return worker.pool == "gevent" and bool(task.soft_time_limit_seconds and not task.time_limit_seconds)


def _of(pools: Mapping[str, str | None]) -> str:
    kinds = sorted({pool or "" for pool in pools.values()})
    return f"{listed(sorted(pools))} ({', '.join(kinds)}) {'keeps' if len(pools) == 1 else 'keep'}"
