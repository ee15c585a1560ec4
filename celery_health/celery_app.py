"""Which Celery app is asked about, and what it really is configured to."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from celery import Celery, _state
from celery.app.utils import find_app as find_celery_app
from django.conf import settings as django_settings

from celery_health.conf import SETTING, Settings, get_settings
from celery_health.conf.option_names import broker_is_set, option_names
from celery_health.exceptions import ConfigurationError
from celery_health.project_code import importing_project
from celery_health.records import AppFacts
from celery_health.text.commands import NO_ARGUMENT, AppName
from celery_health.text.masking import describe_error

_HOW_TO_CONFIGURE = (
    "No Celery app is configured in this process: Celery's own default would ask amqp://guest@localhost. "
    "Import the project's app in its package's __init__.py (from .celery import app as celery_app), "
    f'or set {SETTING} = {{"CELERY_APP": "proj.celery:app"}}.'
)


def find_app_if_imported(settings: Settings | None = None) -> Celery | None:
    """Return the app that a new thread finds; None where there is none yet, or several. Imports nothing.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    settings = settings or get_settings()
    if settings.celery_app is not None:
        module, colon, _ = settings.celery_app.partition(":")
        is_there = module in sys.modules and (bool(colon) or f"{module}.celery" in sys.modules)
        return _import_app(settings.celery_app) if is_there else None
    if (default := find_default_app()) is not None:
        return default
    state: Any = _state
    found = [app for app in state._get_active_apps() if not is_fallback(app)]
    return _unwrapped(found[0]) if len(found) == 1 else None


def find_default_app() -> Celery | None:
    """Return the app that each thread of this process begins with; None while it is Celery's own."""
    app: Any = _state.default_app  # type: ignore[attr-defined]
    return None if app is None or is_fallback(app) else _unwrapped(app)


def find_app(settings: Settings | None = None) -> Celery:
    """Return the project's Celery app: ``CELERY_APP``, else the app that the project configured.

    Raises:
        ConfigurationError: nobody configured one, several compete, or ``CELERY_APP`` does not name one.
    """
    settings = settings or get_settings()
    if settings.celery_app is not None:
        return _import_app(settings.celery_app)
    # celery.current_app is kept per thread: a web server's threads see the default app instead, which
    # Django's fix-up sets to the project's (celery/fixups/django.py), and else Celery's own fallback.
    state: Any = _state
    # The current one of the main thread is the last that was made, the default one mostly the first: either
    # may be a mere client. Where both are settled alike it is the default one, which threads have, too.
    made = [app for app in (state.default_app, state._tls.current_app) if app and not is_fallback(app)]
    if made:
        return _unwrapped(max(made, key=_settledness))
    others = [app for app in state._get_active_apps() if not is_fallback(app)]
    if len(others) == 1:
        return _unwrapped(others[0])
    if others:
        names = ", ".join(sorted(repr(app.main) for app in others))
        raise ConfigurationError(
            f"Several Celery apps live in this process ({names}). "
            f'Set {SETTING} = {{"CELERY_APP": "proj.celery:app"}}.'
        )
    raise ConfigurationError(_HOW_TO_CONFIGURE)


#: ``CELERY_APP`` → the modules that were imported when it was first asked for, and so by others.
_first_asked: dict[str, frozenset[str]] = {}


def imported_before(settings: Settings) -> frozenset[str] | None:
    """Return the modules that were imported before ``CELERY_APP`` was asked for; None where it never was."""
    return None if settings.celery_app is None else _first_asked.get(settings.celery_app)


def _import_app(path: str) -> Celery:
    where = f'{SETTING}["CELERY_APP"] is {path!r}'
    if path not in _first_asked:
        _first_asked[path] = frozenset(sys.modules)
    try:
        with importing_project():
            app = find_celery_app(path)
    except Exception as error:  # importing a project's module may raise anything
        raise ConfigurationError(
            f"{where}, which cannot be imported ({describe_error(error)}). "
            "Set it to 'package.module:attribute'."
        ) from error
    if not hasattr(app, "connection_for_read"):
        raise ConfigurationError(
            f"{where}, which is {type(app).__name__}, no Celery app. Name the app itself."
        )
    return _unwrapped(app)


def _unwrapped(app: Any) -> Celery:
    resolve = getattr(app, "_get_current_object", None)
    real: Celery = resolve() if callable(resolve) else app
    return real


def _settledness(app: Any) -> int:
    """Return how much was settled for the app; reads no settings.

    2 for one that somebody named settings for, as a project does; 1 for one that was given a broker or
    another option, as a mere client is; else 0.
    """
    return 2 if app._config_source else int(bool(app.configured or any(app._preconf.values())))


def is_fallback(app: Any) -> bool:
    """Say whether this is the app that Celery makes when nobody made one (celery/_state.py)."""
    # Its fixed name alone would also match a project that calls its app "default".
    return app.main == "default" and not app.set_as_current and not app.conf.get("broker_url")


def app_id(app: Celery, settings: Settings | None = None) -> str:
    """Return the name under which this app keeps its records: ``APP_ID``, else the app's own name."""
    settings = settings or get_settings()
    return settings.app_id or app_name(app)


def app_name(app: Celery) -> str:
    """Return the app's name, else the package of the settings module, else ``celery``."""
    if app.main and app.main != "__main__":
        return str(app.main)
    return settings_package() or "celery"


def settings_package() -> str | None:
    """Return the top package of the project's settings module; None where there is none."""
    module: str | None = getattr(django_settings, "SETTINGS_MODULE", None)
    return module.partition(".")[0] if module else None


def facts_of(app: Celery, settings: Settings | None = None) -> AppFacts:
    """Return what judging needs to know of the app's configuration."""
    settings = settings or get_settings()
    return AppFacts(
        app_id=app_id(app, settings),
        name=command_name(app, settings),
        always_eager=bool(app.conf.task_always_eager),
        default_queue=str(app.conf.task_default_queue),
        options=option_names(app),
        broker_is_set=broker_is_set(app),
    )


# What `celery -A` takes -----------------------------------------------------------------------------------

#: Not modules of a project, though they may refer to its app.
_NOT_THEIRS: Final = frozenset({"__main__", "__mp_main__", "celery", "celery_health", "kombu"})
_DJANGO: Final = "DJANGO_SETTINGS_MODULE"


def command_name(app: Celery, settings: Settings | None = None) -> AppName:
    """Return the app's name for people, with what ``celery -A`` takes for it: a setting's word, else proven.

    Proven is a module of this process that holds this very app where Celery looks for one, or under a name
    that can be told. Imports nothing and evaluates nothing.
    """
    settings = settings or get_settings()
    name = (settings.celery_app or app_name(app)).removesuffix(":app").removesuffix(".celery")
    *_, module, attribute = _holder(app) or ("", "")
    argument = settings.celery_app or (module and _shortest(app, module, attribute))
    if not argument:
        return AppName(name, NO_ARGUMENT)
    imported = [argument.partition(":")[0], f"{argument}.celery", module]
    django = os.environ.get(_DJANGO)
    return AppName(name, argument, None if not django or _are_set(django, imported) else django)


_Holder = tuple[bool, bool, int, str, str]


def held_at(app: Celery) -> tuple[str, str] | None:
    """Return the module that holds the app, likely the one that made it, and its name there."""
    found = _holder(app)
    return None if found is None else found[-2:]


def _holder(app: Celery) -> _Holder | None:
    """Return where the app stands; of several modules, the one that looks as if it made it."""
    main = str(app.main)
    modules = dict(sys.modules)
    # Nearly always it is one of few; all of them would take milliseconds.
    near = {name: module for name, module in modules.items() if f"{name}.".startswith(f"{main}.")}
    found = min(_holders(app, near), default=None)
    return found if found and found[:2] == (False, False) else min(_holders(app, modules), default=None)


def _holders(app: Celery, modules: Mapping[str, ModuleType]) -> Iterator[_Holder]:
    """Yield where the app stands; less is likelier to have made it."""
    main = str(app.main)
    for name, module in modules.items():
        if not issubclass(type(module), ModuleType) or name.partition(".")[0] in _NOT_THEIRS:
            continue
        names = vars(module).copy()
        if id(app) not in map(id, names.values()):
            continue
        held = [key for key, value in names.items() if value is app]
        if getattr(getattr(module, "__spec__", None), "name", None) == name:  # can be imported
            attribute = min(held, key=lambda key: (key != "app", key != "celery", key))
            is_under = f"{name}.".startswith(f"{main}.")
            yield not _makes_apps(module), not is_under, name.count("."), name, attribute


def _makes_apps(module: ModuleType) -> bool:
    """Say whether a module can call ``Celery``: others have their app from elsewhere."""
    return any(
        value is sys.modules.get("celery") or (isinstance(value, type) and issubclass(value, Celery))
        for value in list(vars(module).values())
    )


def _shortest(app: Celery, module: str, attribute: str) -> str:
    """Return the shortest of a module's packages, or itself, under which Celery finds the app."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((name for name in names if _is_found(app, name)), f"{module}:{attribute}")


def _is_found(app: Celery, name: str) -> bool:
    """Say whether Celery finds this very app under `name`, as `celery.app.utils.find_app` looks for it.

    Not by its last resort, the first app among all names of a module: that changes with an import.
    """
    parent, _, last = name.rpartition(".")
    module = sys.modules.get(name)
    held = vars(sys.modules[parent]).get(last, module) if parent in sys.modules else module
    if held is app:
        return True
    if module is None or held is not module:
        return False
    for attribute in ("app", "celery"):
        value = vars(module).get(attribute)
        if value is not None and not isinstance(value, ModuleType):
            return value is app
        if value is None and "__getattr__" in vars(module):
            return False  # it may answer anything
    return hasattr(module, "__path__") and _is_found(app, f"{name}.celery")


def is_named(app: Celery, argument: str) -> bool:
    """Say whether Celery finds this very app by ``module:attribute`` or ``module``; imports nothing."""
    module, colon, attribute = argument.partition(":")
    if not colon:
        return _is_found(app, argument)
    return module in sys.modules and vars(sys.modules[module]).get(attribute) is app


def _are_set(settings: str, modules: Iterable[str]) -> bool:
    """Say whether these modules, or the packages around them, set Django's settings, and to these alone.

    A default for development is no such word where the process got others from its environment.
    """
    names = {name.rsplit(".", up)[0] for name in modules for up in range(name.count(".") + 1)}
    return {said for name in names for said in settings_set_by(_source(name))} == {settings}


def settings_set_by(source: str) -> set[str | None]:
    """Return what a module's source sets ``DJANGO_SETTINGS_MODULE`` to; None is what cannot be told."""
    try:
        return set(_settings_in(ast.parse(source))) if _DJANGO in source else set()
    except (SyntaxError, ValueError, RecursionError):  # no Python, or too much of it
        return {None}


def _settings_in(node: ast.AST, *, runs: bool = True) -> Iterator[str | None]:
    """Yield what is set under `node`; of what may never run, that nobody can tell."""
    match node:
        case (
            ast.Call(func=ast.Attribute(attr="setdefault"), args=[ast.Constant(value), said])
            | ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value))], value=said)
        ) if value == _DJANGO:
            text = said.value if isinstance(said, ast.Constant) else None
            yield text if runs and isinstance(text, str) else None
    runs = runs and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _settings_in(child, runs=runs)


def _source(name: str) -> str:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    read = getattr(getattr(spec, "loader", None), "get_source", None)
    try:
        return str(read(name) or "") if read is not None else ""
    except Exception:  # whatever a loader makes of it
        return ""
