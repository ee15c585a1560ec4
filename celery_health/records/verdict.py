"""What was judged of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from celery_health.records.snapshot import Snapshot


class CheckStatus(StrEnum):
    """The outcome of one check; only `warn` and `fail` worsen the verdict."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    UNSUPPORTED = "unsupported"
    """This project can never know it: what it would be judged by is not there."""
    OFF = "off"
    """The project chose not to be told."""


class Status(StrEnum):
    """The verdict."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What one check found of one subject."""

    id: str
    """Stable, as in the contract: ``queues.depth``."""
    status: CheckStatus
    message: str
    """One sentence for people."""
    subject: str | None = None
    """The queue, worker, task or entry; None when it is about the whole."""
    observed: float | int | str | None = None
    limit: float | int | None = None
    unit: str | None = None
    """``tasks``, ``seconds``, ``workers``, ..."""
    recommendation: str | None = None
    """What to do, with the command to paste; None when all is well."""
    because: str | None = None
    """The id of the check whose fault or lack explains this one; None where it stands for itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthReport:
    """The verdict with everything that led to it: what HTTP, command, page and metrics all show."""

    status: Status
    checks: tuple[CheckResult, ...]
    snapshot: Snapshot
    age_seconds: float
    """How old the snapshot was when this report was made."""

    @property
    def recommendations(self) -> tuple[str, ...]:
        """Return what to do, most severe first, each once."""
        rank = {CheckStatus.FAIL: 0, CheckStatus.WARN: 1}
        troubled = sorted((c for c in self.checks if c.status in rank), key=lambda c: rank[c.status])
        return tuple(dict.fromkeys(c.recommendation for c in troubled if c.recommendation))
