"""Say what is not watched, or not known now, and why: in the headline, and in ``notes`` of ``health/``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from celery_health.health.folding import Row, folded
from celery_health.health.needs import BROKER, STORE
from celery_health.records import CheckResult, CheckStatus, HealthReport

#: What each check watches, in plain words; two that watch one thing have one word.
WATCHED: Final[Mapping[str, str]] = {
    "broker.reachable": "the broker",
    "broker.writable": "whether it takes messages",
    "store.reachable": "the store",
    "results.reachable": "the result backend",
    "workers.alive": "workers",
    "workers.consuming": "workers that stop reading",
    "workers.pool": "pool processes",
    "queues.consumed": "queues without consumers",
    "queues.stalled": "stalled queues",
    "queues.depth": "queue depths",
    "queues.age": "waiting times",
    "beat.alive": "beat",
    "beat.on_time": "beat",
    "tasks.unknown": "unknown names",
    "tasks.failing": "failures",
    "tasks.stuck": "stuck tasks",
    "tasks.lost": "lost tasks",
    "dead_letters.size": "dead letters",
}
#: What is lacking where a check that is `unsupported` explains others.
_WITHOUT: Final = {STORE: "without a store", BROKER: "on this transport"}
_GAPS: Final = (CheckStatus.UNSUPPORTED, CheckStatus.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """What is not watched for one reason."""

    status: CheckStatus
    """``UNSUPPORTED`` or ``UNKNOWN``."""
    cause: str | None
    """The id of the check that says why; None where what is not watched says so itself."""
    watched: tuple[str, ...]
    """What is not, in plain words."""
    why: str
    """A whole sentence."""

    @property
    def summary(self) -> str:
        """Return ``not watched without a store: failures, beat``."""
        names = ", ".join(self.watched)
        if self.status is CheckStatus.UNKNOWN:
            return f"not known{f' because of {self.cause}' if self.cause else ''}: {names}"
        lacking = _WITHOUT.get(self.cause or "")
        return f"not watched {lacking}: {names}" if lacking else f"not watched: {names}"


def gaps_of(results: Iterable[CheckResult]) -> tuple[Gap, ...]:
    """Return what could not be judged, what never can be before what cannot now; one gap for each reason."""
    found = [gap for row in folded(results) for gap in _gaps_of(row)]
    return tuple(sorted(_merged(found), key=lambda gap: _GAPS.index(gap.status)))


def notes_of(report: HealthReport) -> tuple[str, ...]:
    """Return what is not watched and why, then what the reading skipped: whole sentences."""
    gaps = [f"{gap.summary[:1].upper()}{gap.summary[1:]}. {gap.why}" for gap in gaps_of(report.checks)]
    error = report.snapshot.tasks_error
    if error and not any(error in gap for gap in gaps):
        gaps.append(error)
    return tuple(dict.fromkeys([*gaps, *report.snapshot.notes]))


def _gaps_of(row: Row) -> Iterable[Gap]:
    own = row.ids if row.status in _GAPS else ()
    for consequence in row.consequences:
        if consequence.status not in _GAPS:
            continue
        ids = consequence.ids
        if consequence.status is row.status:
            # That there is no store is said by "without a store".
            ids, own = (*(id for id in own if id != STORE), *ids), ()
        yield Gap(status=consequence.status, cause=consequence.cause, watched=_words(ids), why=row.message)
    if own:
        yield Gap(status=row.status, cause=None, watched=_words(own), why=row.message)


def _words(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(WATCHED.get(id, id) for id in ids))


def _merged(gaps: Iterable[Gap]) -> Iterable[Gap]:
    """Name what is not watched once, by the first of its reasons: a thousand queues are one gap."""
    groups: dict[tuple[object, ...], list[Gap]] = {}
    for gap in gaps:
        groups.setdefault((gap.status, gap.cause, gap.watched), []).append(gap)
    for same in groups.values():
        more = f" (and {len(same) - 1} more)" if len(same) > 1 else ""
        yield Gap(status=same[0].status, cause=same[0].cause, watched=same[0].watched, why=same[0].why + more)
