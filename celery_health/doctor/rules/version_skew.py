"""Workers run different versions of Celery or kombu.

Usual for the minutes of a deploy; after that, one host was left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.wording import listed

_LIBRARIES: Final = ("celery", "kombu", "celery_health")


class VersionSkew(Rule):
    """Workers differ in versions."""

    number: ClassVar = 310
    name: ClassVar = "version-skew"
    summary: ClassVar = "Workers run different versions of Celery, kombu or celery_health."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per worker of a smaller group."""
        for library in _LIBRARIES:
            groups: dict[str, list[str]] = {}
            for worker in evidence.workers:
                if library in worker.versions:
                    groups.setdefault(worker.versions[library], []).append(worker.hostname)
            if len(groups) < 2:
                continue
            usual, most = max(groups.items(), key=lambda group: len(group[1]))
            for version, hostnames in sorted(groups.items()):
                for hostname in hostnames if version != usual else ():
                    yield self.finding(
                        Kind.WORKER,
                        hostname,
                        f"Worker '{hostname}' runs {library} {version}, and {listed(most)} {usual}.",
                        evidence={"library": library, "version": version, "others": usual},
                        fix=f"Deploy '{hostname}' again, if no deploy is under way.",
                    )
