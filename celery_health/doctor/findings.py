"""What the doctor says: findings, each with its proof and its fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    """How sure and how bad; the first letter of a code says the same."""

    ERROR = "error"
    """Work is lost or never done, proven live."""
    WARNING = "warning"
    """It will bite, proven from configuration."""
    INFO = "info"
    """A hint: it may be meant."""

    @property
    def letter(self) -> str:
        """Return the letter that codes of this severity start with."""
        return self.value[0].upper()

    def at_least(self, other: Severity) -> bool:
        """Say whether this is as bad as `other`, or worse."""
        return _WORST_FIRST.index(self) <= _WORST_FIRST.index(other)


_WORST_FIRST: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)


class Scope(StrEnum):
    """What a rule may look at."""

    STATIC = "static"
    """Code and settings of this process: no network, no database."""
    LIVE = "live"
    """Workers, broker, store and schedule tables besides."""


class Kind(StrEnum):
    """What a finding is about."""

    APP = "app"
    TASK = "task"
    BEAT_ENTRY = "beat_entry"
    ROUTE = "route"
    QUEUE = "queue"
    WORKER = "worker"
    BEAT = "beat"
    BROKER = "broker"
    SETTING = "setting"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The one thing that a finding is about."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value.replace('_', ' ')} {self.name!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Another finding, by what names it."""

    code: str
    subject: Subject

    def __str__(self) -> str:
        return f"{self.code} of {self.subject}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong, or may be."""

    code: str
    """Stable: ``E101``, ``W101``, ``I301``."""
    rule: str
    """The rule's name: ``beat-task-unregistered``."""
    severity: Severity
    subject: Subject
    message: str
    """One sentence: what is wrong, with names."""
    evidence: Mapping[str, Any]
    """What proves it, as JSON takes it; no credentials, no arguments of tasks."""
    fix: str
    """What to do, with text to paste."""
    docs: str
    """The rule's page and anchor."""
    because: Cause | None = None
    """The finding that it follows from, which is put right first; None where it stands for itself."""

    @property
    def as_cause(self) -> Cause:
        """Return what others that follow from it are told by."""
        return Cause(code=self.code, subject=self.subject)

    def is_silenced_by(self, silenced: Sequence[str]) -> bool:
        """Say whether ``SILENCED`` leaves this out: by code, or by code, kind and name."""
        return self.code in silenced or f"{self.code}:{self.subject.kind}:{self.subject.name}" in silenced

    def sort_key(self) -> tuple[int, str, str, str]:
        """Return what findings are ordered by: worst first, then by code and subject."""
        return (_WORST_FIRST.index(self.severity), self.code, self.subject.kind, self.subject.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorReport:
    """Everything one examination found."""

    findings: tuple[Finding, ...]
    """Worst first, each followed by what follows from it; without those that are silenced."""
    scope: Scope
    as_of: datetime
    """Aware, UTC."""
    notes: tuple[str, ...] = ()
    """What could not be looked at, and why: its silence proves nothing."""
    unanswered: str | None = None
    """Who did not answer, in one sentence; None where broker and workers did, and of a static look."""
    silenced: int = 0
    """How many findings ``SILENCED`` leaves out."""

    @property
    def answered(self) -> bool:
        """Say whether what had to be asked has answered: else finding nothing proves nothing."""
        return self.unanswered is None

    def count(self, severity: Severity) -> int:
        """Return how many findings are of exactly this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def worst(self) -> Severity | None:
        """Return the severity of the worst finding; None when nothing was found."""
        return next((severity for severity in _WORST_FIRST if self.count(severity)), None)

    def any_at_least(self, severity: Severity) -> bool:
        """Say whether anything as bad as `severity` was found."""
        return any(finding.severity.at_least(severity) for finding in self.findings)


def by_depth(findings: Iterable[Finding]) -> Iterator[tuple[Finding, int]]:
    """Yield each finding with how many causes it stands under, 0 for none; they come as a report has them."""
    path: list[Cause] = []
    for finding in findings:
        while path and path[-1] != finding.because:
            path.pop()
        yield finding, len(path)
        path.append(finding.as_cause)
