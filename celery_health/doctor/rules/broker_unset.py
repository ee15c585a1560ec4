"""Nobody said where the broker is.

Then Celery takes its default, `amqp://guest@localhost:5672//`: a RabbitMQ on the host of each process, whose
user is guest. Elsewhere than on a developer's machine that is nearly always a setting that was forgotten, or
whose name is wrong: sending a task fails after some tries, and workers wait for a broker for ever.

Neither `broker_url` nor a part of it is set, in no form and not in the environment. Where that broker answers
a live look, it is meant, and nothing is said; nor while tests run, or tasks run in the process that calls
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned

#: What kombu makes of no address.
DEFAULT: Final = "amqp://guest@localhost:5672//"


class BrokerUnset(Rule):
    """The broker is Celery's default, since nobody set one."""

    number: ClassVar = 135
    name: ClassVar = "broker-unset"
    summary: ClassVar = "Nobody set `broker_url`: tasks go to a RabbitMQ on this host."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding, of a project with tasks that are sent."""
        conf, live = evidence.conf, evidence.live
        if conf.broker_is_set or conf.always_eager or evidence.django.is_testing:
            return
        if live is not None and live.snapshot.broker.reachable:
            return
        if any(task.is_own for task in evidence.tasks.values()):
            yield self.finding(
                Kind.SETTING,
                "broker_url",
                f"broker_url is not set: tasks go to Celery's default, {DEFAULT}.",
                evidence={"broker": DEFAULT},
                fix=f"{assigned(evidence, 'broker_url', 'redis://localhost:6379/0')}, "
                "with the address of your broker.",
            )
