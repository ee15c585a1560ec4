"""A retry waits for longer than the message is good for: it never runs.

A retry keeps the moment at which the first message expires (``expires``). With ``autoretry_for`` and a fixed
wait, of ``default_retry_delay`` (three minutes unless set) or ``retry_kwargs``, each retry of such a message
is due when it has expired already: workers discard it as revoked, and the failure that it should make up for
stays.

Waits that grow (``retry_backoff``) begin short, and what code asks for by ``self.retry()`` is not known: of
both nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule


class RetryExpired(Rule):
    """Retries that are due after their message has expired."""

    number: ClassVar = 231
    name: ClassVar = "retry-expired"
    summary: ClassVar = "A retry waits for longer than its message is good for, and never runs."
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per task, and one per entry with an ``expires`` of its own."""
        for task in evidence.own_tasks:
            delay, expires = task.retry_delay_seconds, task.expires_seconds
            if _is_over(delay, expires):
                yield self._found(Kind.TASK, task.name, task.name, delay, expires)
        for entry in evidence.all_entries:
            found = evidence.tasks.get(entry.task)
            delay, expires = found.retry_delay_seconds if found is not None else None, entry.expires_seconds
            # One that expires while it waits is said by another rule.
            waits = max(entry.countdown_seconds or 0.0, 0.0)
            if _is_over(delay, expires) and (expires or 0.0) > waits:
                yield self._found(Kind.BEAT_ENTRY, entry.name, entry.task, delay, expires)

    def _found(self, kind: Kind, subject: str, task: str, delay: Any, expires: Any) -> Finding:
        whose, longer = f"The message of beat entry '{subject}' expires", int(delay * 4)
        where = f"'expires': {longer} in its options"
        if kind is Kind.TASK:
            whose, where = f"Messages of '{task}' expire", f"expires={longer} on the task"
        return self.finding(
            kind,
            subject,
            f"{whose} after {expires:g} s, and a retry of '{task}' waits for {delay:g} s: it is discarded "
            "when it is due, and a run that failed is never made up for.",
            evidence={"expires": expires, "retry_delay": delay},
            fix=f"{where}, or a default_retry_delay of the task below {expires:g}.",
        )


def _is_over(delay: float | None, expires: float | None) -> bool:
    return delay is not None and expires is not None and 0 < expires <= delay
