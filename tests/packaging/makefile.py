"""What the verbs of the Makefile run, as make itself says it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: A `make test` that runs us hands its own variables on by these.
INHERITED = ("ARGS", "MAKEFILES", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON")


def recipe(verb: str, args: str = "") -> list[list[str]]:
    """Return the commands of ``make <verb> ARGS=<args>``, each as its words."""
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", verb, f"ARGS={args}"],
        cwd=ROOT, env={name: value for name, value in os.environ.items() if name not in INHERITED},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [shlex.split(line) for line in done.stdout.splitlines()]


def demo_command(*args: str) -> list[str]:
    """Return the command by which `make demo` runs the demo, from `ROOT`, with the Python that runs us."""
    shell_word, python, *rest = recipe("demo", shlex.join(args))[-1]
    assert (shell_word, python) == ("exec", ".venv/bin/python")
    return [sys.executable, *rest]
