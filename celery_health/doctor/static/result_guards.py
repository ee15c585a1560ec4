"""What in a source file is prepared for having no result backend: what is caught, or asked for before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

#: Whoever catches these is prepared for a backend that is not there.
_CAUGHT: Final = frozenset({"Exception", "BaseException", "NotImplementedError", "AttributeError"})
#: Statements and expressions of which a part may be guarded, ...
GUARDING: Final = frozenset({ast.Try, ast.With, ast.If, ast.IfExp, ast.BoolOp})
#: ... and those that may guard what comes after them.
_LEADING: Final = frozenset({ast.If, ast.Assert})
_LEAVING: Final = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def guards(node: ast.AST, field: str) -> bool:
    """Say whether what stands in this part of a statement is prepared for having no backend."""
    if isinstance(node, ast.Try) and field == "body":
        return any(_catches(handler.type) for handler in node.handlers)
    if isinstance(node, ast.With) and field == "body":
        return any("suppress" in ast.dump(item.context_expr) for item in node.items)
    if isinstance(node, ast.If | ast.IfExp) and field in ("body", "orelse"):
        return _asks(node.test)
    return isinstance(node, ast.BoolOp) and _asks(node.values[0])


def guards_rest(node: ast.AST) -> bool:
    """Say whether what follows in the block is reached only after a backend was asked for."""
    # By type(): this runs for every statement of every file that is looked at.
    if type(node) not in _LEADING or not _asks(cast(ast.If, node).test):
        return False
    if isinstance(node, ast.If):
        return any(block and isinstance(block[-1], _LEAVING) for block in (node.body, node.orelse))
    return True


def _asks(test: ast.expr) -> bool:
    text = ast.dump(test).lower()
    return "backend" in text or "always_eager" in text


def _catches(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    types = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(names[-1] in _CAUGHT for one in types if (names := dotted(one)))


def dotted(node: ast.expr) -> tuple[str, ...]:
    """Return the parts of ``a.b.c``; nothing of what is more than names."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (*(node.id, *reversed(names)),) if isinstance(node, ast.Name) else ()


# Calls -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenCall:
    """One call of a function."""

    names: tuple[str, ...]
    """As it is written: ``services.state``."""
    function: str | None
    """The function that it stands in; None on the module's own level."""
    is_guarded: bool


def calls_in(source: bytes) -> Iterator[WrittenCall]:
    """Yield the calls of a file by plain names; none of one that is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    yield from _calls(tree, None, is_guarded=False)


def _calls(node: ast.AST, function: str | None, *, is_guarded: bool) -> Iterator[WrittenCall]:
    if isinstance(node, ast.Call) and (names := dotted(node.func)):
        yield WrittenCall(names=names, function=function, is_guarded=is_guarded)
    if isinstance(node, _FUNCTIONS):
        function, is_guarded = node.name, False
    for field, value in ast.iter_fields(node):
        within = is_guarded or (type(node) in GUARDING and guards(node, field))
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _calls(child, function, is_guarded=within)
                within = within or guards_rest(child)


# Handles -----------------------------------------------------------------------------------------------

#: Attributes of a result that no backend is needed for.
_HARMLESS: Final = frozenset({"id", "task_id", "revoke"})
_RESULT: Final = "AsyncResult"


def is_revoked_alone(source: bytes) -> bool:
    """Say whether a file makes ``AsyncResult`` to revoke tasks, or for their ids, and for nothing else."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return False
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    made = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == _RESULT)
        or (isinstance(node, ast.Attribute) and node.attr == _RESULT)
    ]
    return bool(made) and all(_is_harmless(node, parents, tree) for node in made)


def _is_harmless(node: ast.AST, parents: dict[ast.AST, ast.AST], tree: ast.Module) -> bool:
    call = parents[node]
    if not (isinstance(call, ast.Call) and call.func is node):
        return False
    use = parents[call]
    if isinstance(use, ast.Assign) and len(use.targets) == 1 and isinstance(use.targets[0], ast.Name):
        name = use.targets[0].id
        uses = [
            parents[one]
            for one in ast.walk(tree)
            if isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load)
        ]
        return all(isinstance(one, ast.Attribute) and one.attr in _HARMLESS for one in uses)
    return isinstance(use, ast.Attribute) and use.attr in _HARMLESS
