"""Messages are written in a format that workers refuse, or that nothing here can write.

A worker that gets content outside ``accept_content`` logs an error and discards the message
(``ContentDisallowed``); a serializer that kombu does not know makes every call raise. For results the same
goes between ``result_serializer`` and ``result_accept_content``: the caller cannot read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned


class SerializerRefused(Rule):
    """A serializer is not among those that are accepted."""

    number: ClassVar = 117
    name: ClassVar = "serializer-refused"
    summary: ClassVar = "A serializer in use is not accepted by workers, or is unknown."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per setting and per task with a serializer of its own."""
        conf = evidence.conf
        yield from self._judge(
            evidence, Kind.SETTING, "task_serializer", conf.task_serializer, "accept_content", conf.accepted
        )
        if conf.result_backend and not conf.ignores_results:
            yield from self._judge(
                evidence,
                Kind.SETTING,
                "result_serializer",
                conf.result_serializer,
                "result_accept_content",
                conf.accepted_results,
            )
        for task in evidence.own_tasks:
            if task.serializer and task.serializer != conf.task_serializer:
                yield from self._judge(
                    evidence, Kind.TASK, task.name, task.serializer, "accept_content", conf.accepted
                )

    def _judge(
        self,
        evidence: Evidence,
        kind: Kind,
        subject: str,
        serializer: str,
        accept: str,
        accepted: frozenset[str],
    ) -> Iterable[Finding]:
        facts = {"serializer": serializer, accept: sorted(accepted)}
        whose = f"Task '{subject}'" if kind is Kind.TASK else subject
        if serializer not in evidence.conf.known_serializers:
            known = ", ".join(sorted(evidence.conf.known_serializers))
            yield self.finding(
                kind,
                subject,
                f"{whose} uses serializer '{serializer}', which kombu does not know: every call raises.",
                evidence=facts,
                fix=f"Install or register it (kombu.serialization.register), or use one of {known}.",
            )
        elif serializer not in accepted:
            loss = (
                "readers refuse the results"
                if subject == "result_serializer"
                else "workers discard the messages"
            )
            yield self.finding(
                kind,
                subject,
                f"{whose} uses serializer '{serializer}', which {accept} does not hold: {loss}.",
                evidence=facts,
                fix=_fix(
                    evidence, kind, subject, assigned(evidence, accept, sorted({*accepted, serializer}))
                ),
            )


def _fix(evidence: Evidence, kind: Kind, subject: str, accept: str) -> str:
    """Return what has messages read; pickle is not accepted without a thought (`pickle_accepted`)."""
    if "pickle" not in accept or subject == "result_serializer":
        return accept
    json = "serializer='json' on the task" if kind is Kind.TASK else assigned(evidence, subject, "json")
    return f"{json}, or, if nobody else can write to the broker, {accept}"
