"""``SILENCED`` names a code that the doctor does not have.

It silences nothing: misspelt, or of a rule that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule


class SilencedUnknown(Rule):
    """An entry of SILENCED silences nothing."""

    number: ClassVar = 315
    name: ClassVar = "silenced-unknown"
    summary: ClassVar = "SILENCED names a code or a kind of subject that does not exist."

    def __init__(self, codes: Iterable[str]) -> None:
        #: Every code there is, this rule's own included.
        self._codes = sorted({*codes, *self.codes()})

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per entry."""
        kinds = sorted(kind.value for kind in Kind)
        for entry in evidence.silenced:
            code, has_subject, subject = entry.partition(":")
            kind, has_name, name = subject.partition(":")
            if code not in self._codes:
                near = get_close_matches(code, self._codes, 3, 0.6)
                problem, fix = f"'{code}' is no code", f"Write one of {', '.join(near or self._codes[:3])}."
            elif has_subject and (kind not in kinds or not has_name or not name):
                problem = f"'{subject}' is no subject"
                fix = f"Write '{code}:<kind>:<name>', with one of the kinds {', '.join(kinds)}."
            else:
                continue
            yield self.finding(
                Kind.SETTING,
                "SILENCED",
                f"SILENCED holds '{entry}', which silences nothing: {problem}.",
                evidence={"entry": entry},
                fix=fix,
            )
