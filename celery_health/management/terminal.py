"""Where the command writes: a terminal, a pipe, or a reader that has gone."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.core.management.base import OutputWrapper
from django.core.management.color import Style, color_style, no_style

from celery_health.text.printable import width

_CLEAR: Final = "\x1b[2J"
_HOME: Final = "\x1b[H"
_CLEAR_REST_OF_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"
#: The colours that a `Style` adds; everything else was made printable before.
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


def choose_style(
    out: OutputWrapper, *, no_color: bool, force_color: bool, environ: Mapping[str, str] | None = None
) -> Style:
    """Return colours for a terminal and none for anything else.

    ``--no-color`` and ``--force-color`` decide; else NO_COLOR (https://no-color.org), a dumb terminal and
    Django's own DJANGO_COLORS are heeded.
    """
    environ = os.environ if environ is None else environ
    if force_color:
        return color_style(force_color=True)
    if no_color or environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or not out.isatty():
        return no_style()
    return color_style()


class Terminal:
    """Writes lines. A reader that closed its end (``| head``) is no error: `closed` says so."""

    def __init__(self, out: OutputWrapper, style: Style) -> None:
        self.style = style
        """Colours, or none."""
        # Python leaves sys.stdout None when the process was started without one.
        self.closed = getattr(out, "_out", out) is None
        """True when nobody reads any more: writing on is pointless."""
        self.interactive = not self.closed and out.isatty() and os.environ.get("TERM") != "dumb"
        """True when a person watches and the cursor can be moved."""
        self._out = out
        self._drawn = False

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write `lines` and see that they arrive."""
        self._write("".join(f"{line}\n" for line in lines))

    def redraw(self, lines: Iterable[str]) -> None:
        """Write `lines` over what was drawn before, cut to the terminal's height: the top matters most."""
        size = shutil.get_terminal_size()
        start = _HOME if self._drawn else _CLEAR + _HOME
        self._drawn = True
        body = "".join(
            f"{line}{_CLEAR_REST_OF_LINE}\n" for line in _fitting(lines, size.columns, size.lines - 1)
        )
        self._write(start + body + _CLEAR_BELOW)

    def _write(self, text: str) -> None:
        if self.closed:
            return
        try:
            self._out.write(_encodable(text, self._out), ending="")
            self._out.flush()
        except BrokenPipeError:
            self.closed = True
            _discard_stdout(self._out)
        except OSError:
            # A full disk, for one. What is left in the buffer would fail once more at exit.
            _discard_stdout(self._out)
            raise


def _fitting(lines: Iterable[str], columns: int, rows: int) -> list[str]:
    fitting: list[str] = []
    left = rows
    for line in lines:
        left -= max(1, -(-width(_COLOUR.sub("", line)) // max(1, columns)))
        if left < 0:
            if fitting:
                fitting[-1] = "..."
            break
        fitting.append(line)
    return fitting


def _encodable(text: str, out: Any) -> str:
    """Return `text` with escapes for what the stream cannot encode: a name must not end the answer."""
    encoding = getattr(out, "encoding", None)
    if not isinstance(encoding, str):
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _discard_stdout(out: OutputWrapper) -> None:
    """Let the interpreter flush what is left into nothing at exit (docs.python.org/3/library/signal.html)."""
    stdout: Any = sys.stdout
    is_ours = getattr(out, "_out", None) is stdout
    if stdout is not None and is_ours:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stdout.fileno())
        os.close(nothing)
