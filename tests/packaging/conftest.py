"""Short temporary folders: a socket's path has at most 107 bytes, and pytest's own grow in parallel runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of this test's own."""
    with tempfile.TemporaryDirectory(prefix="celery-health-", dir="/tmp") as folder:
        yield Path(folder)
