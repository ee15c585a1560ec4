"""The exec probe, as it is installed and run, beside a Python that does nothing."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

from celery_health.worker.liveness import Liveness, LivenessFile
from tests.support import ROOT

ROUNDS = 60


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("probe")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)]
    subprocess.run(wheel, check=True, cwd=folder)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    [built] = folder.glob("*.whl")
    install = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(built)]
    subprocess.run(install, check=True, cwd=folder)
    return python.parent


def milliseconds(argv: Sequence[str | Path], env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, env=env, cwd="/", check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def test_probe__costs_little_more_than_python_itself(installed: Path, tmp_path: Path) -> None:
    alive = Liveness(state="ok", started=True, turning=True, due=None)
    LivenessFile(tmp_path, "worker", "w1@host").write(alive)
    env = {**os.environ, "CELERY_HEALTH_PROBE_DIR": str(tmp_path)}
    env.pop("PYTHONPATH", None)
    probe, bare = [], []
    # In turns, so that a noisy moment hits both.
    for _ in range(ROUNDS):
        probe.append(milliseconds([installed / "celery-health-probe", "worker"], env))
        bare.append(milliseconds([installed / "python", "-c", "pass"], env))
    ratio = statistics.median(probe) / statistics.median(bare)
    print(
        f"\nprobe {statistics.median(probe):.1f} ms, python -c pass {statistics.median(bare):.1f} ms, "
        f"ratio {ratio:.2f} (best of each: {min(probe):.1f} and {min(bare):.1f} ms)"
    )
    assert ratio <= 1.5
