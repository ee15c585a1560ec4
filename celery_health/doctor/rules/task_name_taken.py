"""Two functions ask for one task name, and only one of them gets it.

Celery keeps the function that registers first and returns it to the second decorator, quietly before 5.7:
calls of the second run the first. Which of them is first may differ from process to process. It happens
with equal ``name=``, with a decorator that hides the function's own name (no ``functools.wraps``), and when
a module is copied.

Every decorator leaves its function behind for apps that are finalised later; the functions found there are
compared. A module that is merely reloaded is no second function.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class TaskNameTaken(Rule):
    """A task name is asked for by several functions."""

    number: ClassVar = 112
    name: ClassVar = "task-name-taken"
    summary: ClassVar = "Two functions ask for one task name: calls of one run the other."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per name."""
        for taken in evidence.code.taken:
            same = taken.kept in taken.lost
            fix = "Use functools.wraps in the decorator beneath the task's, or " if same else ""
            text = f"{fix}give each task a name of its own: name='...'."
            yield self.finding(
                Kind.TASK,
                taken.name,
                # Not which of them got it here: that may be another one in the next process.
                f"Task name '{taken.name}' is asked for by {listed(sorted([taken.kept, *taken.lost]))}, and "
                "reaches one of them alone.",
                evidence={"kept": taken.kept, "lost": list(taken.lost)},
                fix=text[0].upper() + text[1:],
            )
