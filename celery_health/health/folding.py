"""Fold what the checks say into what people read: each cause once, with what is not known because of it.

Machines get one entry per result, with `because`. Surfaces for people print these rows and derive nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from celery_health.records import CheckResult, CheckStatus

#: The worst first; what cannot be said is worth more attention than what is well.
WORST_FIRST: Final = (
    CheckStatus.FAIL,
    CheckStatus.WARN,
    CheckStatus.UNKNOWN,
    CheckStatus.UNSUPPORTED,
    CheckStatus.OFF,
    CheckStatus.PASS,
)
FAULTS: Final = (CheckStatus.FAIL, CheckStatus.WARN)
#: What another check may explain: a fault is never folded away, nor what passed.
_CONSEQUENCES: Final = {
    CheckStatus.UNKNOWN: "Not known because of",
    CheckStatus.UNSUPPORTED: "Not watched because of",
    CheckStatus.OFF: "Off because of",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Consequence:
    """The checks that say nothing of their own, for one and the same cause."""

    status: CheckStatus
    cause: str
    """The id of the check that explains them."""
    ids: tuple[str, ...]
    """Each once, in the order of the checks."""

    @property
    def why(self) -> str:
        """Return ``Not known because of broker.reachable``."""
        return f"{_CONSEQUENCES[self.status]} {self.cause}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One thing to read: the results that say it in the same words, and what it explains."""

    results: tuple[CheckResult, ...]
    """At least one; they differ in their check, at most."""
    consequences: tuple[Consequence, ...] = ()

    @property
    def status(self) -> CheckStatus:
        """Return the status that all its results have."""
        return self.results[0].status

    @property
    def message(self) -> str:
        """Return the words that all its results say."""
        return self.results[0].message

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the checks that say it, each once."""
        return tuple(dict.fromkeys(result.id for result in self.results))


def unfolded(results: Iterable[CheckResult]) -> tuple[Row, ...]:
    """Return every result, the worst first; what several checks say in the same words is one row."""
    groups: dict[tuple[object, ...], list[CheckResult]] = {}
    for result in results:
        key = (result.status, result.message, result.recommendation, result.subject)
        groups.setdefault(key, []).append(result)
    rows = [Row(results=tuple(group)) for group in groups.values()]
    return tuple(sorted(rows, key=lambda row: WORST_FIRST.index(row.status)))


def folded(results: Iterable[CheckResult]) -> tuple[Row, ...]:
    """Return the same with each result that another explains folded into the row of that one."""
    results = tuple(results)
    worst = _worst_by_id(results)
    explained: dict[int, list[CheckResult]] = {}
    alone = []
    for result in results:
        cause = _cause(result, worst)
        if cause is None:
            alone.append(result)
        else:
            explained.setdefault(id(cause), []).append(result)
    return tuple(
        Row(
            results=row.results,
            consequences=tuple(
                consequence
                for cause in row.results
                for consequence in _consequences(cause, explained.get(id(cause), ()))
            ),
        )
        for row in unfolded(alone)
    )


def _worst_by_id(results: Iterable[CheckResult]) -> Mapping[str, CheckResult]:
    worst: dict[str, CheckResult] = {}
    for result in results:
        known = worst.setdefault(result.id, result)
        if WORST_FIRST.index(result.status) < WORST_FIRST.index(known.status):
            worst[result.id] = result
    return worst


def _cause(result: CheckResult, worst: Mapping[str, CheckResult]) -> CheckResult | None:
    """Return the result that explains this one in the end; None where it has to speak for itself."""
    cause, seen = result, {result.id}
    while cause.status in _CONSEQUENCES and cause.because is not None:
        explaining = worst.get(cause.because)
        if explaining is None or not _explains(explaining.status, result.status):
            break
        if explaining.id in seen:
            return None  # they explain each other, which explains nothing
        seen.add(explaining.id)
        cause = explaining
    return None if cause is result else cause


def _explains(cause: CheckStatus, consequence: CheckStatus) -> bool:
    """Say whether a cause is one: what passes is none, and what is off explains only what is off."""
    if cause is CheckStatus.OFF:
        return consequence is CheckStatus.OFF
    return cause is not CheckStatus.PASS


def _consequences(cause: CheckResult, results: Iterable[CheckResult]) -> Iterable[Consequence]:
    results = tuple(results)
    for status in _CONSEQUENCES:
        ids = dict.fromkeys(result.id for result in results if result.status is status)
        if ids:
            yield Consequence(status=status, cause=cause.id, ids=tuple(ids))
