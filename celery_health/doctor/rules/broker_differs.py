"""Workers read from another broker than this process sends to.

What this process sends waits there for ever, and the workers are idle. It happens when the environment of
web and workers differs (``CELERY_BROKER_URL`` goes before the settings), or one of them names another
database of one Redis.

It is reported when no live worker names this process's broker as its own, and none of them listens there
for remote control either: two addresses may lead to one broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.spelling import setting_name
from celery_health.doctor.wording import subjects


class BrokerDiffers(Rule):
    """No worker reads from the broker that is sent to."""

    number: ClassVar = 119
    name: ClassVar = "broker-differs"
    summary: ClassVar = "No worker reads from the broker that this process sends to."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        live = evidence.live
        if live is None or live.broker_fingerprint is None or not evidence.workers:
            return
        if any(worker.broker in (None, live.broker_fingerprint) for worker in evidence.workers):
            return
        here = live.control_names
        names = [worker.hostname for worker in evidence.workers]
        if here is None or here.intersection(names):
            return
        url = live.snapshot.broker.url
        yield self.finding(
            Kind.BROKER,
            url,
            f"This process sends to {url}, and {subjects(names, 'reads', 'read')} from another broker: "
            "what is sent is never taken.",
            evidence={"workers": names, "listening_here": sorted(here)},
            fix=f"Give all processes one {setting_name(evidence, 'broker_url')}. CELERY_BROKER_URL in the "
            "environment goes before it.",
            proven_live=True,
        )
