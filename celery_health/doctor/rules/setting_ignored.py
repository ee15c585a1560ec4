"""A setting of Celery is written down, and Celery does not read it.

Usually ``config_from_object("django.conf:settings")`` lacks ``namespace="CELERY"``, so that every
``CELERY_...`` name is ignored; or an old name (``CELERYBEAT_SCHEDULE``) stands beside a namespace, which
Celery 5.5 and 5.6 ignore; or ``app.conf.x = ...`` is assigned where ``CELERY_X`` wins.

Names prove nothing, since they differ by version: what counts is that ``app.conf`` holds another value than
the setting, and that this value is Celery's own default, so that nobody else set it either.

The fix was tried on a configuration like this one: what has no effect gets it, and no other option changes.
Among old names that do have effect (``BROKER_URL``) that is the old name, since Celery 5.5 and 5.6 read those
no more once there is a namespace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.setting_facts import IgnoredSetting
from celery_health.doctor.wording import listed

NAMESPACE: Final = 'app.config_from_object("django.conf:settings", namespace="CELERY")'


class SettingIgnored(Rule):
    """A setting has no effect."""

    number: ClassVar = 116
    name: ClassVar = "setting-ignored"
    summary: ClassVar = "A setting of Celery has no effect: the namespace is missing, or the name is old."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding for a forgotten namespace, and one per setting ignored for other reasons."""
        forgotten = _forgotten(evidence)
        if forgotten:
            names = [setting.name for setting in forgotten]
            yield self.finding(
                Kind.SETTING,
                names[0],
                f"{listed(names)} {'has' if len(names) == 1 else 'have'} no effect: "
                "the Celery app is configured without a namespace.",
                evidence={
                    "settings": names,
                    "lost_with_namespace": dict(evidence.django.lost_with_namespace),
                },
                fix=_for_forgotten(evidence, forgotten),
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
            fix = f"{_renamed([setting])}."
        else:
            why = "the Celery app does not read Django's settings"
            harmless = evidence.django.reads_nothing and evidence.django.is_namespace_harmless
            fix = (
                NAMESPACE if harmless else f"Move it to what the app does read: app.conf.{setting.key} = ..."
            )
        return self.finding(
            Kind.SETTING,
            setting.name,
            f"{setting.name} has no effect: {why}.",
            evidence={"option": setting.key, "right_name": setting.right_name},
            fix=fix,
        )


def renamed_to_old_names(evidence: Evidence) -> list[str]:
    """Return the names that are to give way to older ones, since no namespace is to come."""
    forgotten = _forgotten(evidence)
    return [setting.name for setting in forgotten] if _keeps_without_namespace(evidence, forgotten) else []


def _forgotten(evidence: Evidence) -> list[IgnoredSetting]:
    return [setting for setting in evidence.django.ignored if _wants_namespace(evidence, setting)]


def _wants_namespace(evidence: Evidence, setting: IgnoredSetting) -> bool:
    django = evidence.django
    is_new_name = setting.name == f"CELERY_{setting.key.upper()}"
    return django.reads_django_settings and not django.namespace and not setting.is_assigned and is_new_name


def _for_forgotten(evidence: Evidence, forgotten: list[IgnoredSetting]) -> str:
    """Return the change that leaves what counts now as it is: the smaller one, where there are two."""
    lost, is_harmless = evidence.django.lost_with_namespace, evidence.django.is_namespace_harmless
    if is_harmless and not lost:
        return NAMESPACE
    if _keeps_without_namespace(evidence, forgotten):
        why = f": with a namespace, Celery would read {listed(sorted(lost))} no more" if lost else ""
        return f"{_renamed(forgotten)}{why}."
    others = " and ".join(f"{old} to {new}" for old, new in sorted(lost.items()))
    has = "has" if len(lost) == 1 else "have"
    return f"{NAMESPACE}, and rename {others}, which {has} effect now without one."


def _keeps_without_namespace(evidence: Evidence, forgotten: list[IgnoredSetting]) -> bool:
    lost, is_harmless = evidence.django.lost_with_namespace, evidence.django.is_namespace_harmless
    can_rename = all(setting.right_name != setting.name for setting in forgotten)
    return can_rename and (not is_harmless or 0 < len(lost) >= len(forgotten))


def _renamed(settings: list[IgnoredSetting]) -> str:
    first = settings[0]
    if len(settings) == 1:
        text = f"Rename it to {first.right_name}"
    else:
        text = "Rename " + " and ".join(f"{one.name} to {one.right_name}" for one in settings)
    changed = sorted({option for setting in settings for option in setting.also_changes})
    return f"{text} (that changes {listed(changed)} too)" if changed else text
