"""What a type checker makes of the decorator and the base class."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.mark.slow
def test_mypy__strict_on_a_project_s_tasks(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    # A project's own strict run, without our configuration; its ignores must all be needed.
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    command += ["--cache-dir", str(tmp_path), "--explicit-package-bases", "tests/monitoring/typed_tasks.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ran.stdout == "Success: no issues found in 1 source file\n", ran.stdout + ran.stderr
