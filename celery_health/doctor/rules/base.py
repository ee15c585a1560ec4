"""What a rule of the doctor is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope, Severity, Subject

STATIC: Final = frozenset({Scope.STATIC})
LIVE: Final = frozenset({Scope.LIVE})
BOTH: Final = frozenset({Scope.STATIC, Scope.LIVE})

#: The hundred of a rule's number → its page in the docs.
PAGES: Final[Mapping[int, str]] = {1: "lost-work", 2: "will-bite", 3: "hints"}


class Rule(ABC):
    """One rule: from evidence to what it proves. Pure: no I/O, no clock.

    The docstring of its module is its text in the docs: what is wrong, what proves it, what to do.
    """

    number: ClassVar[int]
    """Stable, and never used again: 1xx is lost work, 2xx will bite, 3xx is a hint."""
    name: ClassVar[str]
    """Stable; also the anchor in the docs."""
    summary: ClassVar[str]
    """What it finds, in one sentence for tables."""
    scopes: ClassVar[frozenset[Scope]] = STATIC
    """What it looks at. Of lost work, static knowledge gives a warning and live proof an error."""
    only_deployed: ClassVar[bool] = False
    """As a system check it runs under ``check --deploy`` alone."""

    @abstractmethod
    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per subject, for what is proven; nothing for what is not known."""

    @classmethod
    def severity(cls, *, proven_live: bool = False) -> Severity:
        """Return the severity of a finding."""
        hundred = cls.number // 100
        if hundred == 1:
            return Severity.ERROR if proven_live else Severity.WARNING
        return Severity.WARNING if hundred == 2 else Severity.INFO

    @classmethod
    def codes(cls) -> tuple[str, ...]:
        """Return the codes that its findings may have, the static one first."""
        severities = [cls.severity()] if Scope.STATIC in cls.scopes or cls.number >= 200 else []
        if Scope.LIVE in cls.scopes and cls.number < 200:
            severities.append(cls.severity(proven_live=True))
        return tuple(f"{severity.letter}{cls.number}" for severity in severities)

    @classmethod
    def docs(cls) -> str:
        """Return the page and anchor that explain the rule."""
        return f"docs/doctor/{PAGES[cls.number // 100]}.md#{cls.name}"

    def finding(
        self,
        kind: Kind,
        subject: str,
        message: str,
        *,
        fix: str,
        evidence: Mapping[str, Any] | None = None,
        proven_live: bool = False,
    ) -> Finding:
        """Return a finding of this rule."""
        severity = self.severity(proven_live=proven_live)
        return Finding(
            code=f"{severity.letter}{self.number}",
            rule=self.name,
            severity=severity,
            subject=Subject(kind=kind, name=subject),
            message=message,
            evidence=dict(evidence or {}),
            fix=fix,
            docs=self.docs(),
        )
