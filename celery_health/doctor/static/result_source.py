"""Which results a source file reads, by its syntax alone: what makes each is a name, not yet an object."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from celery_health.doctor.static.result_guards import GUARDING, dotted, guards, guards_rest

#: Attributes of a result that ask the backend (``celery.result``).
_READ: Final = frozenset(
    {
        "collect", "completed_count", "failed", "get", "info", "iterate", "join", "join_native", "ready",
        "result", "state", "status", "successful", "traceback", "wait", "waiting",
    }
)  # fmt: skip
_SENDS: Final = ("delay", "apply_async", "send_task")
_SIGNATURES: Final = ("s", "si", "signature", "subtask")
_RESULTS: Final = ("AsyncResult", "GroupResult")
_CANVAS: Final = ("chain", "group", "chord")

#: A line that makes a result.
_MAKING: Final = re.compile(
    rb"AsyncResult|GroupResult|\.(?:delay|apply_async|send_task)\(|\b(?:chain|group|chord)\("
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS: Final = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda})
_LEAVES: Final = frozenset({ast.Name, ast.Constant, ast.Load, ast.Store})
_NAMING: Final = frozenset(
    {
        ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.For, ast.AsyncFor,
        ast.comprehension, ast.withitem,
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenRead:
    """One place where something of a result is read."""

    line: int
    text: str
    """As it is written, but for arguments: ``send.delay(...).get``."""
    names: tuple[str, ...]
    """The dotted name of what makes the result: a task, an app, a class of results or of canvas."""
    imported: tuple[str, str] | None
    """Module, with its leading dots, and attribute, where the first name is imported within the function."""
    sent_name: str | None
    """The task's name in ``send_task("name")``."""
    is_by_id: bool
    asks_to_keep: bool
    """The call says ``ignore_result=False``."""
    is_guarded: bool
    """What no backend raises is caught, or whether there is one is asked before."""
    function: str | None
    """The function that it stands in; None on the module's own level, or in a lambda."""


@dataclass(frozen=True, slots=True)
class _Made:
    """An expression that makes a result."""

    names: tuple[str, ...]
    text: str
    sent_name: str | None = None
    is_by_id: bool = False
    asks_to_keep: bool = False


def reads_in(source: bytes) -> Iterator[WrittenRead]:
    """Yield the reads of a file, by line; none of one that is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    making = [number for number, line in enumerate(source.splitlines(), 1) if _MAKING.search(line)]
    yield from sorted(_Scope(None, tree, making).reads(), key=lambda read: read.line)


class _Scope:
    """A module or a function: its names, and what it reads."""

    def __init__(self, parent: _Scope | None, node: ast.Module | _Function, making: list[int]) -> None:
        """Look at a scope, and note the functions in it that have one of the lines `making` results."""
        self.parent = parent
        self.node = node
        self.imports: dict[str, tuple[str, str]] = {}
        self.made: dict[str, _Made | None] = {}
        """Local name → what makes the result that it holds; None where it may hold something else."""
        self._making = making
        self._inner: list[_Function] = []
        self._found: list[tuple[ast.Attribute, bool]] = []
        if isinstance(node, _Function):
            arguments = node.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                self.made[argument.arg] = None
        body = node.body if isinstance(node.body, list) else [node.body]
        is_guarded = False
        for statement in body:
            self._walk(statement, is_guarded=is_guarded)
            is_guarded = is_guarded or guards_rest(statement)

    def reads(self) -> Iterator[WrittenRead]:
        """Yield the reads of this scope and of those within it."""
        for attribute, is_guarded in self._found:
            made = self._maker(attribute.value)
            if made is not None:
                yield WrittenRead(
                    line=attribute.lineno,
                    text=f"{made.text}.{attribute.attr}",
                    names=made.names,
                    imported=self._import(made.names[0]),
                    sent_name=made.sent_name,
                    is_by_id=made.is_by_id,
                    asks_to_keep=made.asks_to_keep,
                    is_guarded=is_guarded,
                    function=getattr(self.node, "name", None),
                )
        for function in self._inner:
            yield from _Scope(self, function, self._making).reads()

    def _walk(self, node: ast.AST, *, is_guarded: bool) -> None:
        # By type(): this runs for every node of every file that is looked at.
        kind = type(node)
        if kind in _LEAVES:
            return
        if kind in _FUNCTIONS:
            function = cast(_Function, node)
            # Most functions of a file make none, and are not looked at, but within one that does.
            first = bisect_left(self._making, function.lineno)
            makes = first < len(self._making) and self._making[first] <= (function.end_lineno or 0)
            if makes or self.parent is not None:
                self._inner.append(function)
            return
        if kind is ast.Attribute:
            if cast(ast.Attribute, node).attr in _READ:
                self._found.append((cast(ast.Attribute, node), is_guarded))
        elif kind in _NAMING:
            self._note(node)
        may_guard = kind in GUARDING and not is_guarded
        for field in node._fields:
            value = getattr(node, field, None)
            within = is_guarded or (may_guard and guards(node, field))
            if isinstance(value, list):
                for child in value:
                    if isinstance(child, ast.AST):
                        self._walk(child, is_guarded=within)
                        within = within or guards_rest(child)
            elif isinstance(value, ast.AST):
                self._walk(value, is_guarded=within)

    def _note(self, node: ast.AST) -> None:
        """Note what a statement does to names."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            if self.parent is not None:
                self._note_import(node)
        elif isinstance(node, ast.Assign):
            self._assign(node.targets, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            self._assign([node.target], node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._assign([node.target], None)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._assign([node.optional_vars], None)

    def _note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                self.imports[alias.asname or alias.name] = module, alias.name
            elif alias.asname or "." not in alias.name:
                self.imports[alias.asname or alias.name] = alias.name, ""

    def _assign(self, targets: list[ast.expr], value: ast.expr | None) -> None:
        for target in targets:
            for name in (one for one in ast.walk(target) if isinstance(one, ast.Name)):
                made = _made(value) if value is not None and name is target else None
                known = self.made.get(name.id, made)
                # Given twice it is known only where both make the same.
                self.made[name.id] = made if known == made else None

    def _maker(self, value: ast.expr) -> _Made | None:
        """Return what makes the result of which something is read."""
        if not isinstance(value, ast.Name):
            return _made(value)
        scope: _Scope | None = self
        while scope is not None:
            if value.id in scope.made:
                return scope.made[value.id]
            scope = scope.parent
        return None

    def _import(self, name: str) -> tuple[str, str] | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.imports:
                return scope.imports[name]
            scope = scope.parent
        return None


def _made(value: ast.expr) -> _Made | None:
    """Return what makes a result by this call; None where it makes none."""
    if not isinstance(value, ast.Call):
        return None
    keeps = any(
        keyword.arg == "ignore_result" and getattr(keyword.value, "value", None) is False
        for keyword in value.keywords
    )
    function = value.func
    names = dotted(function)
    if names and names[-1] in _RESULTS:
        # A class by its own name, or that of a task or an app: app.AsyncResult(id).
        is_own = len(names) > 1 and names[-1] == "AsyncResult" and names[-2] != "result"
        maker = names[:-1] if is_own else names
        return _Made(maker, f"{'.'.join(names)}(...)", is_by_id=True)
    if isinstance(function, ast.Attribute) and function.attr == "restore":
        maker = dotted(function.value)
        return _Made(maker, f"{'.'.join(maker)}.restore(...)", is_by_id=True) if maker else None
    if isinstance(function, ast.Attribute) and function.attr in _SENDS:
        return _sent(function, value, keeps=keeps)
    if isinstance(function, ast.Call) and (names := _canvas(function)):
        return _Made(names, f"{'.'.join(names)}(...)(...)", asks_to_keep=keeps)
    return None


def _sent(function: ast.Attribute, call: ast.Call, *, keeps: bool) -> _Made | None:
    base = function.value
    sent_name = None
    if function.attr == "send_task":
        first = call.args[0] if call.args else None
        sent_name = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
    names = dotted(base) or _canvas(base) or _signature(base)
    if not names:
        return None
    text = ".".join(names) + ("" if dotted(base) else "(...)")
    return _Made(names, f"{text}.{function.attr}(...)", sent_name=sent_name, asks_to_keep=keeps)


def _canvas(node: ast.expr) -> tuple[str, ...]:
    """Return the name of what is called, if it is one of the canvas."""
    names = dotted(node.func) if isinstance(node, ast.Call) else ()
    return names if names and names[-1] in _CANVAS else ()


def _signature(node: ast.expr) -> tuple[str, ...]:
    """Return the name of the task in ``task.s(...)``."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute) and function.attr in _SIGNATURES:
        return dotted(function.value)
    return ()
