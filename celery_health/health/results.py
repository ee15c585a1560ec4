"""Whether results can be stored: where they cannot, whoever sends, ends or reads a task waits and fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.needs import BROKER, STORE, WRITABLE, Need, tasks_are_sent
from celery_health.health.refused import named
from celery_health.records import CheckResult, CheckStatus, LastError, ResultsState, SharedServer, Snapshot
from celery_health.text.commands import RESULTS_TABLES
from celery_health.text.formats import duration, plural

#: What it means, where a Redis keeps results: that it is away, or that it takes none.
_WAITED_FOR: Final = "each delay() and each end of a task waits for it, some 20 s by default, and fails"
_NOT_STORED: Final = "each task whose result is to be kept fails at its end, though it ran"
#: What SQLite, PostgreSQL, MySQL and Oracle say of a table that is not there.
_NO_TABLE: Final = re.compile(
    r"no such table|relation .* does not exist|table .* doesn't exist|table or view does not exist", re.I
)


class ResultsReachable(Check):
    """Warn when results cannot be stored, by the backend's own word or by what workers say."""

    id: ClassVar[str] = "results.reachable"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent,)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result."""
        results = snapshot.results
        if results is not None and results.ignored:
            yield self.result(CheckStatus.OFF, f"Results are not kept: {results.ignored}.")
            return
        if results is None:
            because = BROKER if snapshot.broker.is_lacking else None
            yield self.result(CheckStatus.UNKNOWN, "The result backend was not looked at.", because=because)
        elif results.shared is SharedServer.BROKER:
            yield self._of_the_broker(snapshot, results, settings)
        elif results.shared is SharedServer.STORE:
            yield self._of_the_store(snapshot, results, settings)
        elif results.is_redis:
            yield self._asked(snapshot, results, settings)
        else:
            yield self._told(results, settings) or self._untold(snapshot, results, settings)

    def _of_the_broker(self, snapshot: Snapshot, results: ResultsState, settings: Settings) -> CheckResult:
        broker = snapshot.broker
        if not broker.reachable:
            why = "Results are kept by the broker, which "
            why += "does not answer." if broker.reachable is False else "was not asked, or could not be."
            return self.result(CheckStatus.UNKNOWN, why, because=BROKER)
        if broker.writes.accepted is False:
            why = "Results are kept by the broker, which refuses writes."
            return self.result(CheckStatus.UNKNOWN, why, because=WRITABLE)
        return self._told(results, settings) or self._passed("Results are kept by the broker, which answers.")

    def _of_the_store(self, snapshot: Snapshot, results: ResultsState, settings: Settings) -> CheckResult:
        store = snapshot.store
        if store.reachable is None:
            return self.result(CheckStatus.UNKNOWN, "The result backend was not asked.", because=STORE)
        if not store.reachable:
            # The row of the store says why.
            return self._away(snapshot, results, None)
        if store.refuses_writes:
            return self._full(snapshot, results, store.refuses_writes, None)
        return self._told(results, settings) or self._passed(f"The result backend at {results.url} answers.")

    def _asked(self, snapshot: Snapshot, results: ResultsState, settings: Settings) -> CheckResult:
        if results.late:
            why = f"Whether the result backend at {results.url} answers is not known. {results.late}"
            return self.result(CheckStatus.UNKNOWN, why)
        if results.reachable is None:
            why = f"The result backend at {results.url} has not answered yet."
            return self._told(results, settings) or self.result(CheckStatus.UNKNOWN, why)
        if not results.reachable:
            return self._away(snapshot, results, results.error)
        if results.refusal:
            return self._full(snapshot, results, results.refusal, results.fix)
        return self._told(results, settings) or self._passed(f"The result backend at {results.url} answers.")

    def _told(self, results: ResultsState, settings: Settings) -> CheckResult | None:
        """Return what workers say against it; None where they say nothing, or that it is over."""
        told = results.told
        if told is None or not told.count or told.is_over:
            return None
        why = f" ({told.last.exception}: {told.last.text})" if told.last and told.last.text else ""
        lately = duration(settings.limits.recent_seconds)
        what = (
            f"{plural(told.count, 'result')} could not be stored, as workers reported in the last {lately}"
            f"{why}: {named(sorted(told.unstored))}."
        )
        return self.result(
            CheckStatus.WARN,
            f"{what} Each such task is taken for failed, though it ran.",
            observed=told.count,
            limit=0,
            unit="results",
            recommendation=f"{what} {self._todo(results, told.last)}",
        )

    def _untold(self, snapshot: Snapshot, results: ResultsState, settings: Settings) -> CheckResult:
        """Return what can be said of a backend that nobody asks, and of which no worker complains."""
        told, name = results.told, self._name(results)
        if told is not None and told.stored:
            return self._passed(f"Workers store results in {name}: {told.stored:,} lately.")
        if not snapshot.store.configured:
            why = f"Whether {name} takes results is not known: workers would say it in a store."
            return self.result(CheckStatus.UNSUPPORTED, why, because=STORE)
        if told is None:
            why = f"Whether {name} takes results is not known: what workers say could not be read."
            return self.result(CheckStatus.UNKNOWN, why, because=STORE)
        why = f"Whether {name} takes results is not known: no task has had one to store lately."
        return self.result(CheckStatus.UNKNOWN, why)

    def _away(self, snapshot: Snapshot, results: ResultsState, error: str | None) -> CheckResult:
        what = f"The result backend at {results.url} cannot be reached"
        why = f": {error.rstrip('.')}" if error else ", nor can the store: it is the same server"
        return self.result(
            CheckStatus.WARN,
            f"{what}{why}. While it is away, {_WAITED_FOR}.",
            recommendation=(
                f"{what}. Check that it runs, and that {snapshot.app.options.in_words('result_backend')} "
                f"names its address. {_keep_none(snapshot)}"
            ),
        )

    def _full(self, snapshot: Snapshot, results: ResultsState, why: str, fix: str | None) -> CheckResult:
        what = f"The result backend at {results.url} answers and takes no results: {why}."
        fix = (fix or "").replace("result_backend", snapshot.app.options.in_words("result_backend"))
        return self.result(
            CheckStatus.WARN,
            f"{what} While that is so, {_NOT_STORED}.",
            recommendation=f"{what} {fix or _keep_none(snapshot)}",
        )

    def _passed(self, message: str) -> CheckResult:
        return self.result(CheckStatus.PASS, message)

    def _todo(self, results: ResultsState, last: LastError | None) -> str:
        if results.backend == "django-db" and last is not None and _NO_TABLE.search(last.text):
            return f"Make its tables: {RESULTS_TABLES}"
        return f"Check {self._name(results)}, and that workers reach it."

    @staticmethod
    def _name(results: ResultsState) -> str:
        return f"the result backend ({results.url or results.backend})"


def _keep_none(snapshot: Snapshot) -> str:
    return f"Or keep no results: {snapshot.app.options.line('task_ignore_result', True)}"
