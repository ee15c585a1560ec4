"""Grafana dashboards: made here, shipped as JSON beside this file.

Written for the metrics of the ``exporter`` dialect, and for replicas that serve the same totals: each panel
takes the maximum over them before any sum. ``python -m celery_health.metrics.dashboards FOLDER`` writes them.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

from celery_health.metrics.dashboards.grafana import Dashboard, render
from celery_health.metrics.dashboards.overview import OVERVIEW
from celery_health.metrics.dashboards.queues_and_workers import QUEUES_AND_WORKERS
from celery_health.metrics.dashboards.tasks import TASKS

#: Where the JSON is shipped.
FOLDER: Final = Path(__file__).parent
#: Name of the file to its dashboard.
DASHBOARDS: Final = MappingProxyType(
    {
        "overview.json": OVERVIEW,
        "tasks.json": TASKS,
        "queues-and-workers.json": QUEUES_AND_WORKERS,
    }
)

__all__ = ["DASHBOARDS", "FOLDER", "Dashboard", "render", "write"]


def write(folder: Path) -> list[Path]:
    """Write every dashboard into a folder that exists, and return the files."""
    paths = []
    for name, dashboard in DASHBOARDS.items():
        path = folder / name
        path.write_text(render(dashboard), encoding="utf-8")
        paths.append(path)
    return paths
