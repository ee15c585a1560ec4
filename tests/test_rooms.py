"""The house: no circle of imports, a map that names every room, recipes whose files are there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
#: Two rooms under one name: what is written, and what people are shown; pyproject.toml has them apart.
SPLIT = "celery_health.dead_letters"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports whom, where only types are imported, too."""
    return grimp.build_graph("celery_health", exclude_type_checking_imports=False, cache_dir=None)


def circles(nodes: Iterable[str], imported: Callable[[str], Iterable[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        path.append(node)
        for other in imported(node):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in path:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            group = path[path.index(node) :]
            del path[path.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in nodes:
        if node not in order:
            visit(node)
    return found


def rooms_in(graph: grimp.ImportGraph, package: str) -> dict[str, set[str]]:
    """Return what each child of `package` imports of the others; of `SPLIT` its own modules instead."""
    rooms = set(graph.find_children(package))
    if SPLIT in rooms:
        rooms = rooms - {SPLIT} | graph.find_children(SPLIT)

    def room_of(module: str) -> str | None:
        return next((room for room in rooms if module == room or module.startswith(f"{room}.")), None)

    imports: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        if (room := room_of(module)) is not None:
            others = map(room_of, graph.find_modules_directly_imported_by(module))
            imports[room] |= {other for other in others if other not in (None, room)}
    return imports


def test_circles__are_found_where_there_are_some() -> None:
    imports = {"a": ["b"], "b": ["c", "d"], "c": ["a"], "d": ["e"], "e": []}
    assert circles(imports, imports.__getitem__) == [["a", "b", "c"]]


def test_modules__import_in_no_circle(graph: grimp.ImportGraph) -> None:
    assert len(graph.modules) > 200
    assert circles(graph.modules, graph.find_modules_directly_imported_by) == []


def test_rooms__import_in_no_circle(graph: grimp.ImportGraph) -> None:
    for package in sorted(module for module in graph.modules if graph.find_children(module)):
        imports = rooms_in(graph, package)
        assert circles(imports, imports.__getitem__) == [], package


def test_map__names_every_room_once() -> None:
    rows = GUIDE.partition("## Rooms")[2].partition("## Recipes")[0].splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith("| `")]
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    package = ROOT / "celery_health"
    there = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    there |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert sorted(named) == sorted(there)


def test_recipes__name_files_that_are_there() -> None:
    recipes = GUIDE.partition("## Recipes")[2].partition("\n## ")[0]
    titles = re.findall(r"^\*\*(.+)\*\*$", recipes, re.MULTILINE)
    assert titles == [
        "A check of the verdict",
        "A rule of the doctor",
        "A broker",
        "A metric",
        "An action of the status page",
    ]
    paths = re.findall(r"`((?:celery_health|tests|docs)/[^`]*)`", recipes)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []
