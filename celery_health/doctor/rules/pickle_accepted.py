"""Workers accept pickle: whoever can write to the broker can run code in them.

Unpickling executes what the message says. Celery does not accept it unless told to; as a system check this
runs under ``--deploy`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import all_assigned


class PickleAccepted(Rule):
    """Content in pickle is accepted."""

    number: ClassVar = 213
    name: ClassVar = "pickle-accepted"
    summary: ClassVar = "Workers accept pickle: whoever writes to the broker runs code in them."
    only_deployed: ClassVar[bool] = True

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        conf = evidence.conf
        if "pickle" in conf.accepted:
            others = sorted(conf.accepted - {"pickle"}) or ["json"]
            values: dict[str, object] = {"accept_content": others}
            values |= {
                option: others[0]
                for option, serializer in (
                    ("task_serializer", conf.task_serializer),
                    ("result_serializer", conf.result_serializer),
                )
                if serializer == "pickle"
            }
            yield self.finding(
                Kind.SETTING,
                "accept_content",
                "accept_content holds pickle: whoever can write to the broker can run code in the workers.",
                evidence={"accept_content": sorted(conf.accepted)},
                fix=all_assigned(evidence, values),
            )
