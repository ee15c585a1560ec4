"""Make the virtual environment `.venv` with this project and the extras named: ``environment.py demo test``.

The first thing to run on a new machine: it needs a Python 3.7 or newer to run, and finds one that will do to
install into. It gets a Redis server too, if there is none. Done before, it is done in milliseconds: a stamp
holds what was installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import redis_program
from redis_program import say

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
#: The one in the middle comes first: what works with it most likely works with its neighbours.
PREFERRED = ("3.12", "3.11", "3.13")
_PROBE = "import ensurepip, sys, venv; print(sys.implementation.name, *sys.version_info[:2])"


def version_of(python: str) -> tuple[int, int] | None:
    """Return ``(major, minor)`` of a CPython that can make environments, else None."""
    try:
        answer = subprocess.run(
            [python, "-c", _PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=True
        )
        implementation, major, minor = answer.stdout.decode().split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return (int(major), int(minor)) if implementation == "cpython" else None


def is_new_enough(python: str) -> bool:
    """Say whether the project can be installed with `python`."""
    version = version_of(python)
    return version is not None and version >= OLDEST


def candidates() -> Iterator[str]:
    """Yield the Pythons to try, best first: $PYTHON alone, else those on PATH and in pyenv, else ours."""
    if os.environ.get("PYTHON"):
        yield os.environ["PYTHON"]
        return
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in PREFERRED:
        found = shutil.which("python" + version)
        if found:
            yield found
        yield from sorted(str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python"))
    yield sys.executable
    yield shutil.which("python3") or "python3"


def choose_python() -> str:
    """Return the first candidate that will do, or exit saying what is missing."""
    for python in candidates():
        if is_new_enough(python):
            return python
    sys.exit(
        "No CPython 3.11 or newer with venv and pip found. Install one (Debian: apt-get install python3 "
        "python3-venv), or name it: make demo PYTHON=/path/to/python3.12"
    )


def fingerprint(extra: str) -> str:
    """Return what an installation depends on, as a short text."""
    return hashlib.sha256(f"{ROOT} {extra} ".encode() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()


def stamp_of(extra: str) -> Path:
    """Return the file that says which state of the project was installed with `extra`."""
    return VENV / f".installed-{extra}"


def is_installed(extra: str) -> bool:
    """Say whether this very state of the project was installed with `extra`."""
    stamp = stamp_of(extra)
    return VENV_PYTHON.exists() and stamp.exists() and stamp.read_text() == fingerprint(extra)


def install(extras: Sequence[str]) -> None:
    """Make the environment if none works, install the project with `extras`, and remember it."""
    if not is_new_enough(str(VENV_PYTHON)):
        python = choose_python()
        say(f"Making .venv with {python} ...")
        subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=True)
    wanted = ",".join(extras)
    say(f"Installing django-celery-health[{wanted}] into .venv ...")
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", f"{ROOT}[{wanted}]"], check=True)
    for extra in extras:
        stamp_of(extra).write_text(fingerprint(extra))


def get_redis(extras: Sequence[str], fresh: bool) -> None:
    """Get a Redis server if the demo or the tests need one and there is none; exit 1 if the demo has none.

    The tests skip what needs one, and `make lint` makes their environment too: for them it is tried only
    while the environment is `fresh`.
    """
    if "demo" in extras:
        given = os.environ.get("BROKER_URL") or os.environ.get("REDIS_URL")
        if not given and redis_program.get(VENV_PYTHON, may_install=True) is None:
            sys.exit(redis_program.HOW_TO_GET_ONE)
    elif "test" in extras and fresh:
        redis_program.get(VENV_PYTHON, may_install=False)


def main(extras: Sequence[str]) -> None:
    """Bring the environment up to date for `extras`; exit 1 if that fails."""
    missing = [extra for extra in extras if not is_installed(extra)]
    try:
        if missing:
            install(missing)
        get_redis(extras, fresh=bool(missing))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)} failed with status {error.returncode}.")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1:] or ["demo"])
