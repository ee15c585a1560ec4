"""Code reads the result of a task, and nothing keeps it where that code would find it.

Without ``result_backend`` reading raises; the backends of django-celery-results raise at every call while
their app is not in ``INSTALLED_APPS``. Where the task ignores its result (``ignore_result``, or
``task_ignore_result``), ``get()`` returns None at once and the state is pending for ever. In
``cache+memory://``, or Django's local-memory cache, each process has results of its own. From ``rpc://`` a
result goes to the process that sent the task: by its id alone, as a view does it, another never sees it.

The source of the project's modules that are imported is read for it: a result is what a task's own ``delay``,
``apply_async`` or ``AsyncResult`` gives, and one of its attributes is used. Where what is raised is caught,
or a backend is asked for before, there or by each caller that is seen, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.results import BackendFault, ResultRead
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import annotations_added, setting_name

_OTHER: Final = "to a backend that all processes share: 'redis://...', or 'django-db' (django-celery-results)"


class ResultsUnkept(Rule):
    """Results are read, and kept nowhere for it."""

    number: ClassVar = 223
    name: ClassVar = "results-unkept"
    summary: ClassVar = "Code reads the result of a task, and nothing keeps it for that code."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding for the backend, else one per task that ignores a result which is read."""
        fault = evidence.results.fault
        if fault in (BackendFault.NO_APP, BackendFault.NO_PACKAGE):
            yield self._unusable(evidence, installed=fault is BackendFault.NO_APP)
            return
        lost = reads_without_backend(evidence)
        if lost:
            yield self._unkept(evidence, lost)
        if fault is not BackendFault.MISSING:
            yield from self._ignored(evidence)

    def _unusable(self, evidence: Evidence, *, installed: bool) -> Finding:
        why = "is not in INSTALLED_APPS" if installed else "is not installed"
        add = "Add 'django_celery_results' to INSTALLED_APPS, and migrate."
        return self.finding(
            Kind.SETTING,
            "result_backend",
            f"result_backend is that of django-celery-results, which {why}: sending any task raises.",
            evidence={"reads": []},
            fix=add if installed else f"Install django-celery-results. {add}",
        )

    def _unkept(self, evidence: Evidence, reads: Sequence[ResultRead]) -> Finding:
        option = setting_name(evidence, "result_backend")
        fault = evidence.results.fault
        if fault is BackendFault.MISSING:
            why, fix = "no result_backend is set: that raises", f"Set {option} {_OTHER}."
        elif fault is BackendFault.REPLIES:
            why = "with 'rpc://' a result goes to the process that sent the task: another never sees it"
            fix = f"Set {option} {_OTHER}."
        else:
            why = "each process keeps results of its own: the worker's are not seen here"
            fix = f"Set {option} {_OTHER}."
        return self.finding(
            Kind.SETTING,
            "result_backend",
            f"{_places(reads)}, and {why}.",
            evidence={"reads": _told(reads)},
            fix=fix,
        )

    def _ignored(self, evidence: Evidence) -> Iterator[Finding]:
        by_task: dict[str, list[ResultRead]] = {}
        for read in evidence.results.reads:
            task = evidence.tasks.get(read.task or "")
            if task is not None and task.ignores_result and not read.asks_to_keep and not task.keeps_errors:
                by_task.setdefault(task.name, []).append(read)
        anybodys = [read for read in evidence.results.reads if read.task is None and read.is_by_id]
        if anybodys and all(task.ignores_result and not task.keeps_errors for task in evidence.own_tasks):
            yield self._all_ignored(evidence, anybodys)
        for name, reads in sorted(by_task.items()):
            yield self.finding(
                Kind.TASK,
                name,
                f"{_places(reads)}, and '{name}' ignores its result: get() gives None at once, and the state "
                "is pending for ever.",
                evidence={"reads": _told(reads)},
                fix=f"Have it kept: {annotations_added(evidence, {name: {'ignore_result': False}})}; or say "
                "ignore_result=False on the task, or in apply_async().",
            )

    def _all_ignored(self, evidence: Evidence, reads: Sequence[ResultRead]) -> Finding:
        return self.finding(
            Kind.SETTING,
            "task_ignore_result",
            f"{_places(reads)}, and every task of the project ignores its result: the state is pending for "
            "ever.",
            evidence={"reads": _told(reads)},
            fix="Say ignore_result=False on the tasks whose results are read, or leave out "
            f"{setting_name(evidence, 'task_ignore_result')}.",
        )


def reads_without_backend(evidence: Evidence) -> list[ResultRead]:
    """Return the reads that the backend itself, or having none, makes useless."""
    fault = evidence.results.fault
    reads = [read for read in evidence.results.reads if not read.has_own_backend]
    if fault is BackendFault.MISSING:
        return [read for read in reads if not read.is_guarded]
    if fault is BackendFault.PRIVATE:
        return reads
    return [read for read in reads if read.is_by_id] if fault is BackendFault.REPLIES else []


def _places(reads: Sequence[ResultRead]) -> str:
    more = f", and {len(reads) - 1} more {'place' if len(reads) == 2 else 'places'}" if len(reads) > 1 else ""
    return f"{reads[0].place} reads a result ({reads[0].text}){more}"


def _told(reads: Sequence[ResultRead]) -> list[str]:
    return [f"{read.place} {read.text}" for read in reads]
