"""Django system checks: what the static doctor proves, as Warnings.

Never Errors: static knowledge is this process's alone, and must not stop a ``migrate``. Hints are left to the
command. Nothing is imported for them but task modules and URLs: what other checks and receivers of a worker's
signals may bring is left to the doctor. Skipped inside workers and beats, whose start Celery lets Django
check everything too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.core import checks

from celery_health.conf import SETTING, get_settings
from celery_health.doctor.wiring import is_served, paths_wrong, wiring
from celery_health.exceptions import ConfigurationError, ImportedInThreadError
from celery_health.project_code import calling_project, telling_if_slow
from celery_health.text.masking import describe_error
from celery_health.text.printable import printable

if TYPE_CHECKING:
    from celery import Celery

    from celery_health.doctor.findings import Finding

#: For ``manage.py check --tag celery``.
TAG: Final = "celery"

#: Ids of what is checked besides the doctor's rules, with what they say.
SETTINGS_WRONG: Final = "celery_health.W001"
APP_UNKNOWN: Final = "celery_health.W002"
TASKS_BROKEN: Final = "celery_health.W003"
DETAILS_PUBLIC: Final = "celery_health.W011"
METRICS_PUBLIC: Final = "celery_health.W012"

_ALLOW_ANY: Final = "rest_framework.permissions.AllowAny"


def register() -> None:
    """Have Django run the checks; called once, by ``AppConfig.ready``."""
    checks.register(check_wiring, TAG)
    checks.register(check_project, TAG)
    checks.register(check_deployment, TAG, deploy=True)


def check_wiring(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Return what is wrong with how celery_health is put into the project."""
    if not _is_asked(app_configs) or is_celery_command(sys.argv):
        return []
    found = list(wiring())
    with suppress(ConfigurationError):  # said with the settings
        found += paths_wrong() if is_served("live") else ()
    return _printable(found)


def check_project(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Return what is wrong with the project's Celery, statically."""
    return _printable(_check(app_configs, deployed=False))


def check_deployment(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Return what is wrong in production alone."""
    return _printable([*_check(app_configs, deployed=True), *_public(app_configs)])


def _printable(messages: Iterable[checks.CheckMessage]) -> list[checks.CheckMessage]:
    """Return what Django may print as it is: names come from the database and the broker, too."""
    told = list(messages)
    for one in told:
        one.msg = printable(one.msg)
        one.hint = None if one.hint is None else printable(one.hint)
    return told


def _check(app_configs: Sequence[Any] | None, *, deployed: bool) -> Iterator[checks.CheckMessage]:
    if not _is_asked(app_configs) or is_celery_command(sys.argv):
        return
    try:
        settings = get_settings()
    except ConfigurationError as error:
        if not deployed:
            yield checks.Warning(str(error), hint=f"Correct {SETTING}.", id=SETTINGS_WRONG)
        return
    # Imported here, as below: the doctor is of no use to the worker or web process that never runs a check.
    from celery_health.topology import find_app_last

    try:
        app = find_app_last(settings)
    except ConfigurationError as error:
        if not deployed:
            yield checks.Warning("No Celery app is found.", hint=str(error), id=APP_UNKNOWN)
        return
    if is_in_worker(app):
        return
    from celery_health.doctor.examination import report_of
    from celery_health.doctor.rules import RULES
    from celery_health.doctor.static import gather_static

    rules = [rule for rule in RULES if rule.only_deployed is deployed]
    try:
        # A migrate must not run what a worker would: that is for whoever asks the doctor.
        with telling_if_slow("Importing the project's task modules for Django's checks"), calling_project():
            evidence = gather_static(app, settings, looks_further=False)
    except ImportedInThreadError:
        return  # of this process alone, as under runserver
    except Exception as error:  # of ours too: a check that fails must not stop a migrate
        if not deployed:
            own = f"celery_health itself failed, which says nothing about Celery: {describe_error(error)}."
            yield checks.Warning(
                str(error) if isinstance(error, ConfigurationError) else own,
                hint="See the traceback: python manage.py celery_health doctor --static --traceback",
                id=TASKS_BROKEN,
            )
        return
    yield from _messages(report_of(evidence, settings, rules=rules).findings)


def _messages(findings: Iterable[Finding]) -> Iterator[checks.CheckMessage]:
    from celery_health.doctor.findings import Severity

    told = [finding for finding in findings if finding.severity is Severity.WARNING]
    silenced: Sequence[str] = django_settings.SILENCED_SYSTEM_CHECKS
    shown = {one.as_cause for one in told if f"celery_health.{one.code}" not in silenced}
    for finding in told:
        # What only follows is said with its cause, unless that one is silenced.
        if finding.because not in shown:
            following = [one for one in told if one.because == finding.as_cause]
            also = "".join(f" {one.as_cause} follows from it." for one in following)
            yield checks.Warning(
                finding.message,
                hint=f"{finding.fix}{also} ({finding.docs})",
                obj=finding.subject,  # which shows its name by repr()
                id=f"celery_health.{finding.code}",
            )


def _public(app_configs: Sequence[Any] | None) -> Iterator[checks.CheckMessage]:
    """Yield what anybody may read who reaches the site."""
    if not _is_asked(app_configs) or is_celery_command(sys.argv):
        return
    try:
        settings = get_settings()
    except ConfigurationError:
        return  # said already
    permissions = settings.permissions
    if settings.health_details == "always" and permissions["health"] == _ALLOW_ANY and is_served("health"):
        yield checks.Warning(
            "health/ shows the names of queues and workers to anyone who can reach it.",
            hint=f'Set {SETTING} = {{"HEALTH_DETAILS": "staff"}}, or keep the path from the public.',
            id=DETAILS_PUBLIC,
        )
    if permissions["metrics"] == _ALLOW_ANY and is_served("metrics"):
        staff = '{"PERMISSIONS": {"metrics": "rest_framework.permissions.IsAdminUser"}}'
        yield checks.Warning(
            "metrics/ can be read by anyone who can reach it.",
            hint=f"Set {SETTING} = {staff}, or keep the path from the public.",
            id=METRICS_PUBLIC,
        )


def _is_asked(app_configs: Sequence[Any] | None) -> bool:
    """Say whether the whole project is checked, or this app by name."""
    return app_configs is None or any(config.label == "celery_health" for config in app_configs)


def is_in_worker(app: Celery) -> bool:
    """Say whether this process is a worker or a beat of `app`, or is about to become one.

    Its loader notes so before it imports the task modules, and that is when Celery's Django fix-up has all
    checks run (``celery.loaders.base.BaseLoader.init_worker``).
    """
    return bool(getattr(app.loader, "worker_initialized", False))


def is_celery_command(argv: Sequence[str]) -> bool:
    """Say whether this process was started as ``celery ...`` or ``python -m celery ...``."""
    program = argv[0] if argv else ""
    folder, name = os.path.split(program)
    return name in ("celery", "celery.exe") or (
        name == "__main__.py" and os.path.basename(folder) in ("celery", "bin") and "celery" in folder
    )
