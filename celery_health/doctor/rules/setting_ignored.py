"""A setting of Celery is written down, and Celery does not read it.

Usually ``config_from_object("django.conf:settings")`` lacks ``namespace="CELERY"``, so that every
``CELERY_...`` name is ignored; or an old name (``CELERYBEAT_SCHEDULE``) stands beside a namespace, which
Celery 5.5 and 5.6 ignore; or ``app.conf.x = ...`` is assigned where ``CELERY_X`` wins.

Names prove nothing, since they differ by version: what counts is that ``app.conf`` holds another value than
the setting, and that this value is Celery's own default, so that nobody else set it either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import IgnoredSetting
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class SettingIgnored(Rule):
    """A setting has no effect."""

    number: ClassVar = 116
    name: ClassVar = "setting-ignored"
    summary: ClassVar = "A setting of Celery has no effect: the namespace is missing, or the name is old."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding for a forgotten namespace, and one per setting ignored for other reasons."""
        forgotten = [setting for setting in evidence.django.ignored if _wants_namespace(evidence, setting)]
        if forgotten:
            names = [setting.name for setting in forgotten]
            yield self.finding(
                Kind.SETTING,
                names[0],
                f"{listed(names)} {'has' if len(names) == 1 else 'have'} no effect: "
                "the Celery app is configured without a namespace.",
                evidence={"settings": names},
                fix='app.config_from_object("django.conf:settings", namespace="CELERY")',
            )
        for setting in evidence.django.ignored:
            if setting not in forgotten:
                yield self._single(evidence, setting)

    def _single(self, evidence: Evidence, setting: IgnoredSetting) -> Finding:
        if setting.is_assigned:
            why = f"{setting.right_name} is set, and goes before it"
            fix = f"Set {setting.right_name} instead."
        elif evidence.django.reads_django_settings:
            why = "Celery does not read that name here"
            fix = f"Rename it to {setting.right_name}."
        else:
            why = "the Celery app does not read Django's settings"
            fix = "Move it to what the app does read, or have it read Django's settings with a namespace."
        return self.finding(
            Kind.SETTING,
            setting.name,
            f"{setting.name} has no effect: {why}.",
            evidence={"option": setting.key, "right_name": setting.right_name},
            fix=fix,
        )


def _wants_namespace(evidence: Evidence, setting: IgnoredSetting) -> bool:
    django = evidence.django
    is_new_name = setting.name == f"CELERY_{setting.key.upper()}"
    return django.reads_django_settings and not django.namespace and not setting.is_assigned and is_new_name
