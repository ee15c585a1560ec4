"""Fixtures of the API's tests that a scrape needs too, and exporters."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest

from tests.api.conftest import broken_database, client_of
from tests.support import ManagedProcess, project_env

__all__ = ["broken_database", "client_of"]


class Exporter(ManagedProcess):
    """``manage.py celery_health exporter`` on a free port."""

    def __init__(self, broker_url: str, *options: str, port: int = 0, host: str = "127.0.0.1", **env: Any):
        self.port = port
        argv = [sys.executable, "-m", "django", "celery_health", "exporter"]
        argv += ["--port", str(port), "--host", host, *options]
        super().__init__(argv, name="exporter", env=project_env(broker_url, **env))

    def wait_ready(self, timeout: float = 30.0) -> Self:
        """Wait until it says where it listens."""
        log = self.wait_for_log("/metrics\n", timeout)
        found = re.search(r"Serving http://\S+:(\d+)/metrics", log)
        assert found, log
        self.port = int(found.group(1))
        return self


@pytest.fixture
def exporter_factory() -> Iterator[Callable[..., Exporter]]:
    """Start exporters: ``exporter_factory(url, health={...})``."""
    exporters: list[Exporter] = []

    def start(broker_url: str, *options: str, **env: Any) -> Exporter:
        exporter = Exporter(broker_url, *options, **env)
        exporters.append(exporter)
        exporter.start()
        return exporter.wait_ready()

    yield start
    for exporter in exporters:
        exporter.close()
