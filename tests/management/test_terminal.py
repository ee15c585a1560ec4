"""Terminals, pipes, and readers that have gone."""

from __future__ import annotations

import errno
import io
import os
import re
from typing import Any

import pytest
from django.core.management.base import OutputWrapper
from django.core.management.color import no_style

from celery_health.management.terminal import Terminal, choose_style


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A stream whose reader is away: the one thing that cannot be had without racing a real pipe."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        raise self.error


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "DJANGO_COLORS", "TERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def terminal(out: Any) -> Terminal:
    return Terminal(OutputWrapper(out), no_style())


def paints(out: Any, environ: dict[str, str] | None = None, **options: bool) -> bool:
    flags = {"no_color": False, "force_color": False, **options}
    style = choose_style(OutputWrapper(out), environ=environ or {}, **flags)
    return "\x1b[" in style.ERROR("x")


def test_style__terminal_and_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Tty())
    assert paints(Tty())
    assert not paints(io.StringIO())


@pytest.mark.parametrize(
    ("environ", "options", "painted"),
    [
        ({"NO_COLOR": "1"}, {}, False),
        ({"NO_COLOR": ""}, {}, True),  # https://no-color.org: "when present and not an empty string"
        ({"TERM": "dumb"}, {}, False),
        ({"TERM": "xterm"}, {}, True),
        ({}, {"no_color": True}, False),
        ({}, {"force_color": True}, True),
        ({"NO_COLOR": "1"}, {"force_color": True}, True),  # what is typed goes before what is set
    ],
)
def test_style__options_and_environment(
    environ: dict[str, str], options: dict[str, bool], painted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Tty())
    assert paints(Tty(), environ, **options) is painted


def test_style__force_color_into_a_pipe() -> None:
    assert paints(io.StringIO(), force_color=True)


def test_terminal__is_interactive_on_a_terminal_that_can_move(monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal(Tty()).interactive
    assert not terminal(io.StringIO()).interactive
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal(Tty()).interactive


def test_write_lines() -> None:
    out = io.StringIO()
    terminal(out).write_lines(["a", "", "b"])
    assert out.getvalue() == "a\n\nb\n"


def test_write_lines__what_the_encoding_lacks_becomes_visible() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    terminal(out).write_lines(["größe 日本"])
    assert raw.getvalue() == b"gr\\xf6\\xdfe \\u65e5\\u672c\n"


def test_write_lines__reader_gone_is_no_error() -> None:
    out = Broken(BrokenPipeError())
    one = terminal(out)
    one.write_lines(["a"])
    assert one.closed
    one.write_lines(["b"])
    assert out.writes == 1


def test_write_lines__full_disk_is_one() -> None:
    with pytest.raises(OSError, match="No space"):
        terminal(Broken(OSError(errno.ENOSPC, "No space"))).write_lines(["a"])


def test_terminal__without_standard_output() -> None:
    one = terminal(None)
    one.write_lines(["a"])
    assert one.closed
    assert not one.interactive


def screen(written: str) -> list[str]:
    """Return what stands on a terminal after it was written: home, clear, line ends and text only."""
    lines: list[str] = [""]
    row = 0
    for part in re.split(r"(\x1b\[2J|\x1b\[H|\x1b\[K|\x1b\[J|\n)", written):
        if part == "\x1b[2J":
            lines, row = [""], row
        elif part == "\x1b[H":
            row, lines = 0, [*lines]
        elif part == "\x1b[K":
            continue
        elif part == "\x1b[J":
            lines = lines[:row]
        elif part == "\n":
            row += 1
        elif part:
            lines += [""] * (row + 1 - len(lines))
            lines[row] = part
    return lines


def test_redraw__replaces_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Tty()
    one = terminal(out)
    one.redraw(["a long line", "b", "c"])
    assert screen(out.getvalue()) == ["a long line", "b", "c"]
    one.redraw(["short", "b"])
    assert screen(out.getvalue()) == ["short", "b"]
    # Cleared once: more would flicker.
    assert out.getvalue().count("\x1b[2J") == 1


@pytest.mark.parametrize(
    ("columns", "rows", "lines", "kept"),
    [
        (10, 5, ["a", "b", "c", "d"], ["a", "b", "c", "d"]),
        (10, 4, ["a", "b", "c", "d"], ["a", "b", "..."]),  # one row is left for the cursor
        (10, 4, ["x" * 20, "b", "c"], ["x" * 20, "..."]),  # a long line takes two rows
        (
            10,
            4,
            ["\x1b[31;1m" + "x" * 10 + "\x1b[0m", "b", "c"],
            ["\x1b[31;1m" + "x" * 10 + "\x1b[0m", "b", "c"],
        ),
        (10, 4, ["日本" * 5, "b", "c"], ["日本" * 5, "..."]),
        (10, 4, ["", "", ""], ["", "", ""]),
        (10, 1, ["a"], []),
    ],
)
def test_redraw__fits_the_terminal(
    columns: int, rows: int, lines: list[str], kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, rows)))
    out = Tty()
    terminal(out).redraw(lines)
    assert out.getvalue() == "\x1b[2J\x1b[H" + "".join(f"{line}\x1b[K\n" for line in kept) + "\x1b[J"
