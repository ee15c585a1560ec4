"""The arguments of a beat entry do not fit the signature of its task.

Each run fails with ``TypeError``: in beat itself where Celery checks arguments at the call (beat logs the
error and goes on), else in the worker.

The task's own signature is asked, as Celery does it and as the worker calls it, with the entry's ``args`` and
``kwargs``. Of ``@task(pydantic=True)`` it is that of the function with the models: a dict that lacks a
model's required field does not fit either; no validator of the project's runs for that. A function that a
decorator hides behind ``*args, **kwargs`` takes anything, and is left alone. A common slip is
``'args': ('x')``, which is a string and not a tuple: beat takes it letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule


class ArgumentsMisfit(Rule):
    """An entry's arguments do not fit its task."""

    number: ClassVar = 201
    name: ClassVar = "arguments-misfit"
    summary: ClassVar = "The arguments of a beat entry do not fit its task's signature."
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per entry."""
        for entry in evidence.all_entries:
            if entry.misfit is not None:
                yield self.finding(
                    Kind.BEAT_ENTRY,
                    entry.name,
                    f"Beat entry '{entry.name}' calls '{entry.task}' with arguments that do not fit: "
                    f"{entry.misfit}.",
                    evidence={"task": entry.task, "error": entry.misfit, "source": entry.source},
                    fix=f"Set the entry's args (a list or tuple) and kwargs to what '{entry.task}' takes"
                    + (f": {entry.signature}." if entry.signature else "."),
                )
