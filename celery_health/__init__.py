"""Tell the truth about Celery: health, doctor, metrics and dead letters for Django projects.

Importing this package needs no settings and costs nothing: the public names load when they are first used.
"""

from __future__ import annotations

# Not from typing: importing that would take the exec probe longer than all else it does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from celery_health import dead_letters
    from celery_health.health import get_report
    from celery_health.monitoring import MonitoredTask, monitor_task

__all__ = ["MonitoredTask", "__version__", "dead_letters", "get_report", "monitor_task"]

__version__: Final = "0.1.0"

_HOMES: Final = {
    "MonitoredTask": "celery_health.monitoring",
    "monitor_task": "celery_health.monitoring",
    "get_report": "celery_health.health",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "dead_letters":
        return import_module("celery_health.dead_letters")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
