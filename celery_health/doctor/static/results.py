"""Where own code reads the results of tasks, and whether anything keeps them for it.

Read off the source of modules that are imported already; only where something is amiss with the backend, or a
task ignores its result, so that it costs nothing elsewhere.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec, resolve_name
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import celery
from celery.local import Proxy
from celery.result import AsyncResult, ResultBase
from django.apps import apps
from django.conf import settings as django_settings

from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.results import BackendFault, ResultFacts, ResultRead
from celery_health.doctor.static.result_callers import Callers
from celery_health.doctor.static.result_guards import is_revoked_alone
from celery_health.doctor.static.result_source import WrittenRead, reads_in

if TYPE_CHECKING:
    from celery import Celery

#: Modules beyond are not looked at, nor are longer files.
MOST_MODULES: Final = 3000
MOST_BYTES: Final = 1_000_000
MOST_READS: Final = 50

#: Files without any of these make no result: most of a project's.
_MAKING: Final = (b".delay(", b".apply_async(", b".send_task(", b"chain(", b"group(", b"chord(")
#: Files without any of these read no result, or none whose maker is known.
_BY_ID: Final = (b"AsyncResult", b"GroupResult")
_SENT: Final = re.compile(rb"^(.*)\.(?:delay|apply_async|send_task)\(", re.MULTILINE)
#: A call that stands as a statement by itself: what it returns is not looked at, ...
_BARE: Final = re.compile(rb"\s*[\w.]+")
#: ... unless it is right behind it.
_CHAINED: Final = re.compile(
    rb"\)\s*\.(?:get|wait|join|collect|iterate|result|status|state|info|ready|successful|failed|completed_count|waiting)\b"
)
_COMPOSED: Final = re.compile(rb"\b(?:chain|group|chord)\(")
_TEST: Final = re.compile(r"(?:^|\.)(?:tests(?:\.|$)|conftest(?:\.|$)|test_)")
_DJANGO_RESULTS: Final = "django_celery_results"
_CANVAS: Final = (celery.chain, celery.group, celery.chord)
_PRIVATE_CACHES: Final = (".LocMemCache", ".DummyCache")


def result_facts(
    app: Celery, tasks: Mapping[str, TaskFacts], modules: Mapping[str, ModuleType]
) -> ResultFacts:
    """Return what is wrong with the result backend, and the reads of results that may suffer from it.

    `modules` are the project's own, by name.
    """
    conf: Any = app.conf
    if conf.task_always_eager:
        return ResultFacts()
    fault = _fault(app)
    own = [task for task in tasks.values() if task.is_own]
    ignoring = frozenset(task.name.rpartition(".")[2].encode() for task in own if task.ignores_result)
    if fault is None and not ignoring:
        return ResultFacts()
    # Where single tasks ignore theirs, only who names one of these is of interest.
    named = None if fault is not None or all(task.ignores_result for task in own) else ignoring
    looked_at = _without_tests(modules)
    callers = Callers(looked_at) if fault is BackendFault.MISSING else None
    found = (read for name, module in looked_at for read in _reads(name, module, named, callers))
    return ResultFacts(
        fault=fault,
        reads=tuple(read for _, read in zip(range(MOST_READS), found, strict=False)),
        revoking=tuple(_revoking(looked_at)) if fault is BackendFault.MISSING else (),
    )


# The backend ---------------------------------------------------------------------------------------------


def _fault(app: Celery) -> BackendFault | None:
    conf: Any = app.conf
    url = str(conf.result_backend or "disabled")
    if url.startswith("disabled"):
        return BackendFault.MISSING
    # Not if somebody else's backend has the name.
    named = (getattr(app.loader, "override_backends", None) or {}).get(url)
    if url in ("django-db", "django-cache") and not named and not apps.is_installed(_DJANGO_RESULTS):
        return BackendFault.NO_APP if find_spec(_DJANGO_RESULTS) else BackendFault.NO_PACKAGE
    if url.startswith("rpc"):
        return BackendFault.REPLIES
    return BackendFault.PRIVATE if _is_private(url, conf) else None


def _is_private(url: str, conf: Any) -> bool:
    """Say whether each process has results of its own."""
    if url.startswith("cache+memory") or url in ("db+sqlite://", "db+sqlite:///:memory:"):
        return True
    if url == "cache":
        return str(conf.cache_backend or "memory").startswith("memory")
    if url == "django-cache":
        caches = getattr(django_settings, "CACHES", {})
        return str(caches.get(conf.cache_backend or "default", {}).get("BACKEND")).endswith(_PRIVATE_CACHES)
    return False


# Reads ---------------------------------------------------------------------------------------------------


def _without_tests(modules: Mapping[str, ModuleType]) -> list[tuple[str, ModuleType]]:
    """Return the modules that are no tests', the first `MOST_MODULES` of them, sorted."""
    return [(name, modules[name]) for name in sorted(modules) if not _TEST.search(name)][:MOST_MODULES]


def _revoking(modules: Iterable[tuple[str, ModuleType]]) -> Iterator[str]:
    """Yield the modules that have ``AsyncResult`` to revoke tasks alone."""
    for name, module in modules:
        if vars(module).get("AsyncResult") is not AsyncResult:
            continue
        try:
            with open(str(getattr(module, "__file__", "")), "rb") as file:
                source = file.read(MOST_BYTES)
        except OSError:
            continue
        if is_revoked_alone(source):
            yield name


def _reads(
    name: str, module: ModuleType, named: frozenset[bytes] | None, callers: Callers | None
) -> Iterator[ResultRead]:
    """Yield what a module reads of results that are proven to be Celery's."""
    path = getattr(module, "__file__", None)
    if not path or not path.endswith(".py"):
        return
    try:
        status = os.stat(path)
    except OSError:
        return
    for written in _written(path, named, status.st_mtime_ns, status.st_size):
        made = _what(module, written)
        if made is not None:
            task, has_own_backend = made
            is_guarded = written.is_guarded
            if callers is not None and written.function is not None and not is_guarded:
                is_guarded = callers.are_prepared(name, written.function)
            yield ResultRead(
                place=f"{name}:{written.line}",
                text=written.text,
                task=task,
                is_by_id=written.is_by_id,
                is_guarded=is_guarded,
                asks_to_keep=written.asks_to_keep,
                has_own_backend=has_own_backend,
            )


@lru_cache(maxsize=4096)
def _written(path: str, named: frozenset[bytes] | None, changed: int, size: int) -> tuple[WrittenRead, ...]:
    """Return the reads in a file, as they are written; a file that has not changed is read once.

    Of one that has none of `named` in it nothing is returned.
    """
    if size > MOST_BYTES:
        return ()
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError:
        return ()
    if not _may_read(source) or (named is not None and not any(name in source for name in named)):
        return ()
    return tuple(reads_in(source))


def _may_read(source: bytes) -> bool:
    """Say whether a file is worth being parsed: most that send tasks do not look back."""
    if any(name in source for name in _BY_ID):
        return True
    if not any(name in source for name in _MAKING):
        return False
    sent = [match[1] for match in _SENT.finditer(source)]
    if any(_BARE.fullmatch(before) is None for before in sent):
        return True
    composed = b"celery" in source and _COMPOSED.search(source) is not None
    return (bool(sent) or composed) and _CHAINED.search(source) is not None


def _what(module: ModuleType, written: WrittenRead) -> tuple[str | None, bool] | None:
    """Return the task whose result is read, None of any, and whether it has a backend of its own.

    None where what makes the result is none of Celery's, or is not known.
    """
    found = _resolved(module, written)
    if isinstance(found, ModuleType):  # celery.result, by another name
        found = vars(found).get("AsyncResult")
    if isinstance(found, celery.Task):
        own = "backend" in vars(type(found))
        return found.name, own
    if isinstance(found, celery.Celery):
        return written.sent_name, False
    if isinstance(found, type) and issubclass(found, (ResultBase, *_CANVAS)):
        return None, False
    return None


def _resolved(module: ModuleType, written: WrittenRead) -> Any:
    """Return the object that a dotted name is in a module, without running anything of it."""
    first, *rest = written.names
    found: Any = vars(module).get(first)
    if written.imported is not None:
        # Imported within the function, and so perhaps not yet.
        source, attribute = written.imported
        try:
            source = resolve_name(source, str(vars(module).get("__package__") or ""))
        except ImportError:
            return None
        found = _inside(sys.modules.get(source), attribute, source) if attribute else sys.modules.get(source)
    for name in rest:
        found = _inside(found, name, getattr(found, "__name__", ""))
    # By type(), since a lazy task would evaluate itself for isinstance().
    return _evaluated(found) if issubclass(type(found), Proxy) else found


def _evaluated(lazy: Any) -> Any:
    """Return the task that a lazy one stands for; None where it is none of the app's that is current."""
    try:
        return lazy._get_current_object()
    except Exception:  # NotRegistered, and whatever else is evaluated there
        return None


def _inside(found: Any, name: str, module: str) -> Any:
    if isinstance(found, ModuleType):
        return vars(found).get(name) or sys.modules.get(f"{module}.{name}")
    return None
