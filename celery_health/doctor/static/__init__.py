"""Gather what code and settings show, in this process alone: no network, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings as django_settings

from celery_health.celery_app import facts_of
from celery_health.conf import Settings
from celery_health.connections.exchanges import transport_of
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.static.caches import cache_facts
from celery_health.doctor.static.calls import calls_to_broadcasts
from celery_health.doctor.static.conf import conf_facts
from celery_health.doctor.static.entries import configured_entries
from celery_health.doctor.static.identity import identity_facts
from celery_health.doctor.static.modules import code_facts, modules_of, what_is_missing
from celery_health.doctor.static.names import django_facts
from celery_health.doctor.static.queues import declared_queues
from celery_health.doctor.static.results import result_facts
from celery_health.doctor.static.routes import ignored_routes, route_facts
from celery_health.doctor.static.tasks import task_facts
from celery_health.exceptions import ConfigurationError, ImportedInThreadError
from celery_health.project_code import calling_project, is_of_ours, needs_main_thread, place_of
from celery_health.text.masking import describe_error
from celery_health.topology import (
    Ownership,
    Resolver,
    import_as_checks_do,
    import_as_receivers_do,
    import_tasks,
    is_library,
    is_own_path,
    ownership_of,
    root_package,
    unimported_by_receivers,
    unrun_checks,
)

if TYPE_CHECKING:
    from celery import Celery


def gather_static(
    app: Celery, settings: Settings, *, source: Any = None, looks_further: bool = True
) -> Evidence:
    """Return what can be known of `app` without asking anybody.

    Where a task seems to be missing, the project's other system checks are run, as a worker's start runs
    them, and what receivers of a worker's signals import is imported: either may bring it. Where that is not
    to be (`looks_further`), no name is called unknown that they may bring.

    `source` has the project's settings as attributes; None for Django's own.

    Raises:
        ConfigurationError: the project's task modules cannot be imported, or its code raises when asked.
        ImportedInThreadError: they can be imported in a main thread alone.
    """
    source = django_settings if source is None else source
    try:
        import_tasks(app, with_urls=True)
    except Exception as error:  # a project's modules may raise anything
        if needs_main_thread(error):
            raise ImportedInThreadError(
                f"{place_of(error)} sets a handler of signals when it is imported. Python allows that in a "
                "main thread alone, and here another thread imports the project's task modules. No worker is "
                "concerned. Look from a command: python manage.py celery_health doctor"
            ) from error
        raise ConfigurationError(
            f"The task modules of the project cannot be imported, so no worker would start "
            f"({describe_error(error)}). Fix that first."
        ) from error
    try:
        with calling_project():
            return _gathered(app, settings, source, looks_further)
    except Exception as error:  # a property, a comparison, a router: whatever the project's code does
        if is_of_ours(error):
            raise
        raise ConfigurationError(
            f"The project's tasks and settings cannot be examined: {place_of(error)} raises "
            f"{describe_error(error)}. Fix that first."
        ) from error


def _gathered(app: Celery, settings: Settings, source: Any, looks_further: bool) -> Evidence:
    ownership = ownership_of(app)
    unseen: str | None = None
    if missing := what_is_missing(app, ownership):
        if looks_further:
            import_as_checks_do()
            import_as_receivers_do()
            ownership = ownership_of(app)
        elif others := [*unrun_checks(ownership, missing), *unimported_by_receivers(ownership, missing)]:
            unseen = f"tasks that these may import, which were not run for it: {', '.join(others)}"
    resolver, routes_error = _resolver(app)
    tasks = task_facts(app, resolver, ownership)
    entries = tuple(configured_entries(app, resolver))
    own_packages = _own_packages(tasks, ownership)
    django = django_facts(app, source)
    django = replace(django, ignored_routes=ignored_routes(app, source, django.ignored))
    modules = modules_of(own_packages)
    unknown = [entry.task for entry in entries if entry.task not in tasks]
    return Evidence(
        app_name=facts_of(app, settings).name,
        transport=transport_of(app),
        tasks=tasks,
        entries=entries,
        queues=tuple(declared_queues(app)),
        routes=() if routes_error else tuple(route_facts(app)),
        routes_error=routes_error,
        calls=calls_to_broadcasts(app, resolver, modules),
        bindings=() if resolver is None else resolver.bindings(),
        own_packages=own_packages,
        expected_queues=settings.expected_queues,
        ignored_queues=settings.ignored_queues,
        scaled_to_zero=frozenset(name for name in settings.queues if settings.scales_to_zero(name)),
        dead_letter_suffix=settings.dead_letters.suffix,
        most_dead_letters=settings.dead_letters.max_length,
        silenced=settings.silenced,
        conf=conf_facts(app, django.time_zone),
        django=django,
        code=code_facts(app, ownership, modules, unknown, unseen),
        results=result_facts(app, tasks, modules),
        caches=cache_facts(app, settings, source),
        identity=identity_facts(app, settings, tasks, modules),
    )


def _resolver(app: Celery) -> tuple[Resolver | None, str | None]:
    """Return what answers where tasks go, or why ``task_routes`` cannot be read."""
    try:
        return Resolver(app), None
    except Exception as error:  # whatever stands in task_routes
        return None, describe_error(error)


def _own_packages(tasks: Mapping[str, TaskFacts], ownership: Ownership) -> frozenset[str]:
    """Return the packages of own tasks, and of the project's apps; an installed app without tasks is none."""
    own = [task for task in tasks.values() if task.is_own]
    names = {config.name for config in apps.get_app_configs() if is_own_path(config.path)}
    names |= {task.module for task in own}
    names |= {task.name for task in own if "." in task.name}
    packages = ownership.project | {root_package(name) for name in names}
    return frozenset(package for package in packages if not is_library(package))
