"""Where own code sends tasks to a queue that it names: read off the source of modules that are imported.

Only where a broadcast is declared, so that it costs nothing elsewhere, and only files that name one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import celery
from celery import _state
from celery.local import Proxy

from celery_health.connections.exchanges import is_virtual
from celery_health.connections.shared_names import shared_name
from celery_health.doctor.facts import CallFacts
from celery_health.doctor.static.result_guards import dotted
from celery_health.topology import Resolver

if TYPE_CHECKING:
    from celery import Celery

#: Modules beyond are not looked at, nor are longer files.
_MOST_MODULES: Final = 3000
_MOST_BYTES: Final = 1_000_000
_MOST_CALLS: Final = 50
_SIGNATURES: Final = frozenset({"s", "si", "signature", "subtask"})
_ADDRESS: Final = frozenset({"queue", "exchange", "routing_key", "exchange_type"})


def calls_to_broadcasts(
    app: Celery, resolver: Resolver | None, modules: Mapping[str, ModuleType]
) -> tuple[CallFacts, ...]:
    """Return the calls in own `modules` that name a queue or exchange of a broadcast, and a task."""
    words = _words(app)
    if resolver is None or not words or not is_virtual(app):
        return ()
    found: list[CallFacts] = []
    for name, module in sorted(modules.items())[:_MOST_MODULES]:
        source = _source(module)
        if b"apply_async" not in source and b"send_task" not in source and b".set(" not in source:
            continue
        if any(word.encode() in source for word in words):
            found += _calls(app, resolver, name, module, source, words)
        if len(found) >= _MOST_CALLS:
            break
    return tuple(found[:_MOST_CALLS])


def _words(app: Celery) -> frozenset[str]:
    """Return the names that lead to a fanout exchange."""
    words: set[str] = set()
    queues: Any = app.amqp.queues
    for queue in queues.values():
        if getattr(queue.exchange, "type", None) == "fanout":
            words |= {shared_name(queue), str(queue.exchange.name), str(queue.alias or queue.name)}
    return frozenset(words - {""})


def _source(module: ModuleType) -> bytes:
    try:
        with open(str(vars(module).get("__file__") or ""), "rb") as file:
            source = file.read(_MOST_BYTES + 1)
    except OSError:
        return b""
    return b"" if len(source) > _MOST_BYTES else source


def _calls(
    app: Celery, resolver: Resolver, name: str, module: ModuleType, source: bytes, words: frozenset[str]
) -> Iterator[CallFacts]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        options = _options(node)
        if options is None or words.isdisjoint(options.values()):
            continue
        try:
            task = _task(app, module, node)
            destination = None if task is None else resolver.resolve(task, options)
        except Exception:  # a project's router may raise anything, and a task be another app's
            continue
        if task is not None and destination is not None:
            yield CallFacts(
                place=f"{name}:{node.lineno}", task=task, options=dict(options), destination=destination
            )


def _options(call: ast.Call) -> Mapping[str, str] | None:
    """Return what a call says of where its message goes; None where that is not all told by its source."""
    found = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg == "declare":
            return None
        if keyword.arg in _ADDRESS:
            if not isinstance(keyword.value, ast.Constant) or not isinstance(keyword.value.value, str):
                return None
            found[keyword.arg] = keyword.value.value
    return found


def _task(app: Any, module: ModuleType, call: ast.Call) -> str | None:
    """Return the name of the task that a call sends; None where that is not told."""
    func = call.func
    assert isinstance(func, ast.Attribute)
    if func.attr == "send_task":
        first = call.args[0] if call.args else None
        return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
    base: ast.expr = func.value
    if func.attr == "set" or (func.attr == "apply_async" and isinstance(base, ast.Call)):
        if not (isinstance(base, ast.Call) and isinstance(base.func, ast.Attribute)):
            return None
        if base.func.attr not in _SIGNATURES:
            return None
        base = base.func.value
    elif func.attr != "apply_async":
        return None
    names = dotted(base)
    found: Any = module
    for part in names:
        if not isinstance(found, ModuleType):
            return None
        found = vars(found).get(part)
    # By type(), since a lazy task would evaluate itself for isinstance().
    if issubclass(type(found), Proxy):
        found = _known_to(app, found)
    is_task = bool(names) and not isinstance(found, type) and isinstance(found, celery.Task)
    return str(found.name) if is_task and found.name in app.tasks else None


def _known_to(app: Any, lazy: Any) -> Any:
    """Return what a lazy task is in `app`; a shared one asks the current app, which may be another here."""
    local: Any = _state._tls  # type: ignore[attr-defined]
    before, local.current_app = local.current_app, app
    try:
        return lazy._get_current_object()
    finally:
        local.current_app = before
