"""The exec probe, installed from a wheel and run as a kubelet runs it, beside a Python that does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.benchmarks.base import Figure, in_turns
from tests.support import ROOT


def install(folder: Path) -> Path:
    """Return the programs of a fresh environment with the wheel in it."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)]
    subprocess.run(wheel, check=True, cwd=folder)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    [built] = folder.glob("*.whl")
    packages = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(built)]
    subprocess.run(packages, check=True, cwd=folder)
    return python.parent


def bench_probe_console_script() -> Figure:
    """``celery-health-probe worker`` over a living worker's file, against ``python -c pass``: wall time."""
    from celery_health.reporting.liveness import Liveness, LivenessFile

    with tempfile.TemporaryDirectory(prefix="celery-health-bench-") as name:
        folder = Path(name)
        programs = install(folder)
        alive = Liveness(state="running", started=True, turning=True, due=None)
        LivenessFile(folder, "worker", "w1@host").write(alive)
        env = {**os.environ, "CELERY_HEALTH_PROBE_DIR": name}
        env.pop("PYTHONPATH", None)

        def run(*argv: str | Path) -> None:
            subprocess.run(argv, env=env, cwd="/", check=True, stdout=subprocess.DEVNULL)

        return in_turns(
            "exec probe, console script vs python -c pass",
            lambda: run(programs / "celery-health-probe", "worker"),
            lambda: run(programs / "python", "-c", "pass"),
            target=1.5,
            rounds=60,
        )
