"""What each answer holds, as OpenAPI. Imported only where drf-spectacular is installed.

The shapes are written out instead of derived from serializers: the answers are plain dicts, and components
of ours could take the names of the project's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from celery_health.api.openapi import dead_letters, doctor, fleet, health, metrics, schedule, tasks

#: The arguments of ``extend_schema`` by the name that a view gives to ``describe``.
OPERATIONS: Final[Mapping[str, dict[str, Any]]] = MappingProxyType(
    {
        "health": health.OPERATION,
        "tasks": tasks.TASKS_OPERATION,
        "stats": tasks.STATS_OPERATION,
        "workers": fleet.WORKERS_OPERATION,
        "queues": fleet.QUEUES_OPERATION,
        "schedule": schedule.OPERATION,
        "doctor": doctor.OPERATION,
        **dead_letters.OPERATIONS,
        "metrics": metrics.OPERATION,
    }
)
