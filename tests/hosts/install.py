"""Install a released application once, and keep it in ``~/.cache/celery_health/hosts/<name>-<version>``.

There are its virtual environment, with what celery_health needs beside it, and its database as its own
commands made it. Remove the folder to have it made anew.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from environment import candidates, version_of
from tests.hosts.application import Application
from tests.support import ROOT

#: Applications pin much that has wheels for this one.
PYTHON = (3, 12)


class NotInstallableError(Exception):
    """The application cannot be installed on this machine; the message says why."""


def cache_of(application: Application) -> Path:
    """Return the folder where all of the application is kept."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "celery_health" / "hosts" / f"{application.name}-{application.version}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time fill the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(application: Application) -> Path:
    """Return the folder of the application's programs, installed now if they were not.

    Raises:
        NotInstallableError: pip could not, or there is no such Python.
    """
    cache = cache_of(application)
    venv, stamp = cache / "venv", cache / "installed.txt"
    wanted = "\n".join((*application.requirements, *our_requirements()))
    with alone(cache):
        if stamp.exists() and stamp.read_text() == wanted:
            return venv / "bin"
        stamp.unlink(missing_ok=True)
        print(f"Installing {' '.join(application.requirements)} into {venv} ...", file=sys.stderr)
        run([find_python(), "-m", "venv", "--clear", str(venv)], "make an environment")
        add_headers(application)
        pip = [str(venv / "bin" / "pip"), "--disable-pip-version-check"]
        headers = f" (Debian: apt-get install {' '.join(application.headers)})" if application.headers else ""
        run([*pip, "install", "-q", *application.requirements], f"install {application.name}{headers}")
        # As a careful user does it: what is there is pinned, and only what is missing is added.
        have = cache / "have.txt"
        have.write_text(run([*pip, "freeze"], "list what is installed"))
        run([*pip, "install", "-q", "-c", str(have), *our_requirements()], "add what celery_health needs")
        stamp.write_text(wanted)
    return venv / "bin"


def add_headers(application: Application) -> None:
    """Install what Debian has and building needs; elsewhere pip says what it misses."""
    if application.headers and Path("/etc/debian_version").exists() and os.geteuid() == 0:
        apt = ["apt-get", "-qq", "-y", "--no-install-recommends"]
        run(["apt-get", "-qq", "update"], "update the list of Debian's packages")
        run([*apt, "install", *application.headers], f"install {' '.join(application.headers)}")


def our_requirements() -> list[str]:
    """Return what celery_health requires, as its own packaging says it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        requirements: list[str] = tomllib.load(file)["project"]["dependencies"]
    return requirements


def install_ours(site: Path) -> None:
    """Install celery_health itself, as it is in this work tree, into a folder of packages."""
    target = ["--target", str(site), "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *target, str(ROOT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def find_python() -> str:
    """Return a Python of the version that applications are installed with."""
    for python in candidates():
        if version_of(python) == PYTHON:
            return python
    raise NotInstallableError(f"No CPython {'.'.join(map(str, PYTHON))} is here.")


def run(argv: Sequence[str], what: str) -> str:
    """Run a program of the installation, and return what it printed.

    Raises:
        NotInstallableError: it failed.
    """
    done = subprocess.run(argv, capture_output=True, text=True, timeout=1800, env=clean_environment())
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "rror" in line] or ["no reason given"]
        raise NotInstallableError(f"Could not {what}: {errors[-1].strip()}")
    return done.stdout


def clean_environment() -> dict[str, str]:
    """Return the environment less what belongs to this test run alone."""
    ours = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in ours}


def forget(application: Application) -> None:
    """Remove all that is kept of the application."""
    shutil.rmtree(cache_of(application), ignore_errors=True)
