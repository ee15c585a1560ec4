"""A setting has a name that nobody reads, and that is nearly one of Celery's.

`CELERY_BROKERURL`, `CELERY_TASK_ROUTE` or `app.conf.brokerurl` raise nothing: Celery looks for the names of
its own table, and takes its defaults. So does `celery_health` with `CELERYHEALTH = {}`.

The name is found by Celery's table of options, in the form that the project uses. It is called wrong where it
is nearly one of them, that one is not set otherwise, and no source reads the name: neither the project's nor
that of a library, whose names may look alike (`CELERY_EMAIL_BACKEND`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.conf import SETTING
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.setting_facts import MisspeltSetting


class SettingMisspelt(Rule):
    """A name of a setting is nearly one that counts."""

    number: ClassVar = 134
    name: ClassVar = "setting-misspelt"
    summary: ClassVar = "A setting has a misspelt name, which nobody reads."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per name."""
        for setting in evidence.django.misspelt:
            yield self.finding(
                Kind.SETTING,
                setting.name,
                f"Nobody reads {setting.name}{f' in {setting.where}' if setting.where else ''}: "
                f"{_why(setting)}",
                evidence={"options": list(setting.keys), "nearest": list(setting.right_names)},
                fix=_fix(setting, evidence),
            )


def _why(setting: MisspeltSetting) -> str:
    if setting.is_key:
        return f"'{setting.keys[0]}' is a key of {SETTING}."
    if not setting.name.isupper() and setting.right_names[0].isupper():
        return f"Django takes names in upper case alone, and {setting.right_names[0]} is not set."
    return f"{' or '.join(setting.right_names)} is meant, and not set."


def _fix(setting: MisspeltSetting, evidence: Evidence) -> str:
    if not setting.is_key:
        return f"Rename it to {' or '.join(setting.right_names)}."
    key = setting.keys[0]
    if evidence.django.has_health_setting:
        return f"{SETTING}[{key!r}] = {setting.name}"
    return f"{SETTING} = {{{key!r}: {setting.name}}}"
