"""A worker holds tasks that it cannot start, while another that could is idle.

Each worker reserves ``worker_prefetch_multiplier`` (4 unless set) messages per slot ahead of time. Behind
long tasks they wait for minutes, although another worker of the same queue has free slots.

Seen so: all slots of one worker have been taken for over a minute, it has reserved messages of a queue, and
another consumer of that queue has free slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.spelling import assigned
from celery_health.doctor.wording import subjects
from celery_health.records import Worker, WorkerState

_LONG_SECONDS: Final = 60.0
_WORKING: Final = (WorkerState.OK, WorkerState.BUSY, WorkerState.SATURATED)


class PrefetchHoards(Rule):
    """A busy worker hoards what an idle one could run."""

    number: ClassVar = 207
    name: ClassVar = "prefetch-hoards"
    summary: ClassVar = "A busy worker holds reserved tasks that an idle one could run."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per worker."""
        if evidence.conf.prefetch_multiplier == 1:
            return
        for worker in evidence.workers:
            for queue, reserved in sorted(worker.reserved_by_queue.items()):
                idle = [w.hostname for w in evidence.consumers([queue]) if w is not worker and _is_idle(w)]
                if reserved and idle and _is_long_busy(worker):
                    yield self.finding(
                        Kind.WORKER,
                        worker.hostname,
                        f"Worker '{worker.hostname}' holds {reserved} of queue '{queue}' behind tasks "
                        f"that run for over {_LONG_SECONDS:g} s, while "
                        f"{subjects(idle, 'has', 'have')} free slots.",
                        evidence={
                            "queue": queue,
                            "reserved": reserved,
                            "idle": idle,
                            "prefetch_multiplier": evidence.conf.prefetch_multiplier,
                        },
                        fix=f"{assigned(evidence, 'worker_prefetch_multiplier', 1)} (and "
                        f"{assigned(evidence, 'task_acks_late', True)} where tasks may run twice), "
                        "or a queue of their own for long tasks.",
                    )
                    break


def _is_long_busy(worker: Worker) -> bool:
    if not worker.concurrency or (worker.active_count or 0) < worker.concurrency:
        return False
    runtimes = [task.runtime_seconds or 0.0 for task in worker.active]
    return len(runtimes) >= worker.concurrency and min(runtimes) > _LONG_SECONDS


def _is_idle(worker: Worker) -> bool:
    if worker.state not in _WORKING or worker.is_paused or worker.is_draining:
        return False
    return worker.active_count is not None and worker.active_count < (worker.concurrency or 0)
