"""Import what a worker imports: its task modules, and what Django's system checks bring along.

Celery's Django fix-up runs the checks before it imports the task modules (``on_import_modules``), unless
``CELERY_SKIP_CHECKS`` is set. They import the project's URLs, and with them the views and whatever those
import, tasks too. To run every check here would take long, and a check of ours that comes here would be sent
round again: the URLs are imported by themselves, and the other checks are run where a doubt is left
(`import_as_checks_do`).
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from celery.loaders import base
from django.conf import settings
from django.core.checks.registry import registry

from celery_health.celery_app import find_app
from celery_health.conf import Settings
from celery_health.project_code import importing_project
from celery_health.text.masking import describe_error
from celery_health.topology.forks import importing
from celery_health.topology.libraries import is_library
from celery_health.topology.ownership import Owner, Ownership

if TYPE_CHECKING:
    from celery import Celery

#: Read by celery/fixups/django.py.
_SKIP_CHECKS: Final = "CELERY_SKIP_CHECKS"

_imported: weakref.WeakSet[Celery] = weakref.WeakSet()
#: Those whose modules are being imported, by the thread that holds the lock.
_begun: weakref.WeakSet[Celery] = weakref.WeakSet()
_lock = threading.RLock()
#: The URLs that were imported; None before.
_urls: object = None
#: Which URLs could not be imported, and why; None where they could, or were not tried.
_urls_error: tuple[object, str] | None = None
#: Other system checks that have run.
_checks_ran: set[object] = set()
#: Why one of them raised when they ran last; None when none did.
_checks_error: str | None = None


def import_tasks(app: Celery, *, with_urls: bool = False) -> None:
    """Import the task modules of `app` the way a worker does, once per process.

    Without `with_urls`, the project's URLs are taken in where they are imported anyway, as in a web process:
    alone they may take longer than everything else. That they cannot be imported is no error, as it is none
    where workers skip the checks: `unimportable` says why.

    Celery takes some 0.4 ms for each task that it registers, most of it for reading its configuration; any
    process that sends one of them pays that, once. Nothing of the app is changed to have it sooner.

    Raises:
        ImportError: a module ends the process, as by ``sys.exit()``.
        Exception: whatever else the project's modules raise.
    """
    with _lock, importing():
        urls = getattr(settings, "ROOT_URLCONF", None)
        if urls and urls != _urls and (with_urls or urls in sys.modules):
            # First, like the checks.
            with _without_checks():
                _import_urls(urls)
        if app in _imported or app in _begun:
            return
        _begun.add(app)
        try:
            with _without_checks(), importing_project():
                app.loader.import_default_modules()
                if not getattr(app, "finalized", False):
                    app.finalize()
            _imported.add(app)
        finally:
            _begun.discard(app)


def find_app_last(settings_of_ours: Settings) -> Celery:
    """Return the project's app as `find_app` does, once all that URLs import is there.

    Where ``CELERY_APP`` names it, it is then known whether anybody else imports it.

    Raises:
        ConfigurationError: as `find_app` says.
    """
    path = settings_of_ours.celery_app
    urls = getattr(settings, "ROOT_URLCONF", None)
    if path and urls and path.partition(":")[0] not in sys.modules:
        with _lock, importing(), _without_checks():
            _import_urls(urls)
    return find_app(settings_of_ours)


def import_as_checks_do() -> None:
    """Import what the system checks of the project import, by running those of others, once per process.

    One that raises is run again at the next call: what it needs may be there by then. What they find is
    theirs to say. It may take seconds: for when something is missing that they may bring.
    """
    global _checks_error
    with _lock, importing():
        failed = None
        for check in registry.get_checks(include_deployment_checks=False):
            if check in _checks_ran or _module_of(check).partition(".")[0] == __package__.partition(".")[0]:
                continue
            try:
                # As Celery calls them: no database is named, so that none is asked.
                with importing_project():
                    check(app_configs=None, databases=None)
            except Exception as error:  # a worker would not start
                failed = describe_error(error)
            else:
                _checks_ran.add(check)
        _checks_error = failed


def unrun_checks(ownership: Ownership, packages: Iterable[str]) -> list[str]:
    """Return the modules of system checks that may import tasks, and were not run for it.

    They are the project's, and those of `packages`: a check of anybody else's knows nothing of their tasks.
    """
    modules = {_module_of(check) for check in registry.get_checks() if check not in _checks_ran}
    tops = {package.partition(".")[0] for package in packages}
    return sorted(
        module
        for module in modules
        if not is_library(module)
        and (module.partition(".")[0] in tops or ownership.of_module(module) is Owner.PROJECT)
    )


def _module_of(check: Any) -> str:
    return str(getattr(check, "__module__", ""))


def unimportable() -> str | None:
    """Return why some of what workers import cannot be imported here; None when all could be."""
    error, what = _checks_error, "a system check raises"
    # A thread that came late may have tried URLs that are the project's no more.
    if _urls_error is not None and _urls_error[0] == getattr(settings, "ROOT_URLCONF", None):
        error, what = _urls_error[1], "the project's URLs cannot be imported"
    if error is None:
        return None
    return (
        f"tasks that are only imported by Django's system checks: {what} ({error}). A worker that runs the "
        "checks ends at its start for that"
    )


def _import_urls(urls: Any) -> None:
    """Import the URLs and all that they include, as ``check_url_config`` and its like do."""
    global _urls, _urls_error
    from django.urls import get_resolver

    try:
        with importing_project():
            resolver = get_resolver(urls)
            _load(resolver)
            for status in (400, 403, 404, 500):
                resolver.resolve_error_handler(status)
    except Exception as error:  # the project's views, and all that they import
        _urls_error = (urls, describe_error(error))
    else:
        _urls, _urls_error = urls, None


def _load(resolver: Any) -> None:
    for pattern in getattr(resolver, "url_patterns", ()):
        _load(pattern)


@contextmanager
def _without_checks() -> Iterator[None]:
    before = os.environ.get(_SKIP_CHECKS)
    os.environ[_SKIP_CHECKS] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SKIP_CHECKS, None)
        else:
            os.environ[_SKIP_CHECKS] = before


def _after_in_child() -> None:
    # The thread that imported may be gone, and its lock is held for ever.
    global _lock
    _lock = threading.RLock()
    if _begun and hasattr(base, "_RACE_PROTECTION"):
        # Celery discovers nothing while it believes that a discovery is under way.
        base._RACE_PROTECTION = False
    _begun.clear()


os.register_at_fork(after_in_child=_after_in_child)
