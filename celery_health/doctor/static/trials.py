"""Try a change of the settings as Celery would read it, in memory: the app that runs is told nothing.

What a fix says of a setting is tried first: the option holds what was wished, and no other one changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from celery.app import defaults, utils

from celery_health.doctor.setting_facts import DjangoFacts, IgnoredSetting

if TYPE_CHECKING:
    from celery import Celery

_DEFAULTS: Final[Mapping[str, Any]] = defaults.DEFAULTS
_TO_OLD_KEY: Final[Mapping[str, str]] = defaults._TO_OLD_KEY  # type: ignore[attr-defined]
_TO_NEW_KEY: Final[Mapping[str, str]] = defaults._TO_NEW_KEY  # type: ignore[attr-defined]
_detect_settings: Any = utils.detect_settings  # type: ignore[attr-defined]
_NAMESPACE: Final = "CELERY"
_NEW_NAMES: Final = frozenset(f"{_NAMESPACE}_{key.upper()}" for key in _DEFAULTS)


def tried(app: Celery, settings: Any, facts: DjangoFacts) -> DjangoFacts:
    """Return the facts with what repairs each setting without effect; the same where there is none."""
    if not facts.ignored:
        return facts
    trial = _Trial(app, settings, facts)
    lost, is_harmless = trial.lost_with_namespace(), trial.is_namespace_harmless()
    # A trial takes some milliseconds: none for each of many that a namespace alone puts right.
    needs_names = bool(facts.namespace) or not is_harmless or len(facts.ignored) <= len(lost)
    return replace(
        facts,
        ignored=tuple(map(trial.judged, facts.ignored)) if needs_names else facts.ignored,
        lost_with_namespace=lost,
        is_namespace_harmless=is_harmless,
    )


class _Trial:
    def __init__(self, app: Celery, settings: Any, facts: DjangoFacts) -> None:
        conf: Any = app.conf
        self._facts = facts
        self._written = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
        #: What the app reads now; None where that is nothing.
        self._read: dict[str, Any] | None = self._written
        if not facts.reads_django_settings:
            own: Any = app.loader.conf
            self._read = {key: own[key] for key in own} if own else None
        #: What was assigned beside it.
        self._assigned = {key: value for key, value in conf.maps[0].items() if key != "deprecated_settings"}
        self._ignore_keys = set(getattr(app, "_preconf_set_by_auto", ()))
        self._before = self._options(self._read, facts.namespace)
        #: Those that a missing namespace alone keeps from having effect.
        self._forgotten = {
            setting.key: self._written[setting.name]
            for setting in facts.ignored
            if not facts.namespace and not setting.is_assigned and setting.name in _NEW_NAMES
        }

    def judged(self, setting: IgnoredSetting) -> IgnoredSetting:
        """Return the setting with the first name that has effect, and what else that would change."""
        if setting.is_assigned or not self._facts.reads_django_settings:
            return setting
        old = _TO_OLD_KEY[setting.key]
        wished = {setting.key: self._written[setting.name]}
        for name in [setting.right_name, old] if self._facts.namespace else [old]:
            written = {key: value for key, value in self._written.items() if key != setting.name}
            changed = self._changed_by({**written, name: wished[setting.key]}, wished, self._facts.namespace)
            if changed is not None:
                return replace(setting, right_name=name, also_changes=changed)
        return setting

    def lost_with_namespace(self) -> Mapping[str, str]:
        """Return the names that have effect and would lose it by a namespace → those that they would need."""
        if self._facts.namespace or not self._facts.reads_django_settings:
            return {}
        found = {old: f"{_NAMESPACE}_{key.upper()}" for old, key in _TO_NEW_KEY.items() if key in _DEFAULTS}
        return {
            old: new
            for old, new in found.items()
            if old in self._written
            and old != new
            and new not in self._written
            # Of one that says Celery's default nobody would notice.
            and not _equal(self._written[old], _DEFAULTS[_TO_NEW_KEY[old]])
        }

    def is_namespace_harmless(self) -> bool:
        """Say whether a namespace, and new names for what would lose its effect, change nothing else."""
        if self._facts.namespace:
            return False
        renamed = self.lost_with_namespace()
        written = {renamed.get(name, name): value for name, value in self._written.items()}
        # Celery 5.7 takes other names under a namespace too, 5.5 and 5.6 do not: it is to be right for all.
        strict = {name: value for name, value in written.items() if name in _NEW_NAMES}
        return self._changed_by(strict, self._forgotten, _NAMESPACE) == ()

    def _changed_by(
        self, written: Mapping[str, Any], wished: Mapping[str, Any], namespace: str | None
    ) -> tuple[str, ...] | None:
        """Return the options that change besides what is wished; None where that does not come of it."""
        before, after = self._before, self._options(written, namespace)
        if before is None or after is None:
            return None
        if not all(_equal(after[key], value) for key, value in wished.items()):
            return None
        return tuple(key for key in after if key not in wished and not _equal(after[key], before[key]))

    def _options(self, written: Mapping[str, Any] | None, namespace: str | None) -> dict[str, Any] | None:
        """Return every option as an app configured so has it; None where Celery refuses to read that."""
        try:
            conf = _detect_settings(
                None if written is None else dict(written),
                dict(self._assigned),
                ignore_keys=set(self._ignore_keys),
                prefix=namespace,
            )
            # As they are set: as attributes, some follow others (`broker_read_url`, `task_default_exchange`).
            return {key: conf[key] for key in _DEFAULTS}
        except Exception:  # ImproperlyConfigured, and whatever a project's values make of it
            return None


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # whatever a project's objects make of a comparison
        return one is other
