"""What failed for good, kept in the broker: list it, understand it, send it again, or purge it.

::

    from celery_health import dead_letters

    dead_letters.sizes()                                    # {"celery": 3, "emails": None}: None is unknown
    page = dead_letters.entries("celery", limit=20)
    dead_letters.requeue("celery", page.letters[0].id)
    dead_letters.purge("celery")

Queues are named as tasks know them: ``celery``, not ``celery.dead``. Nothing is ever unpickled.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

# Lazily: a worker imports this package for what it captures, and needs nothing of the reading side.
if TYPE_CHECKING:
    from celery_health.dead_letters.aside import set_aside
    from celery_health.dead_letters.letters import entries, entry, purge, requeue, sizes
    from celery_health.dead_letters.records import Cause, DeadLetter, Filter, Page, Requeued, SetAside
    from celery_health.dead_letters.resending import RequeueInterruptedError, RequeueStopped

__all__ = [
    "Cause",
    "DeadLetter",
    "Filter",
    "Page",
    "RequeueInterruptedError",
    "RequeueStopped",
    "Requeued",
    "SetAside",
    "entries",
    "entry",
    "purge",
    "requeue",
    "set_aside",
    "sizes",
]

_HOMES: Final = {
    **dict.fromkeys(("entries", "entry", "purge", "requeue", "sizes"), "celery_health.dead_letters.letters"),
    **dict.fromkeys(
        ("Cause", "DeadLetter", "Filter", "Page", "Requeued", "SetAside"),
        "celery_health.dead_letters.records",
    ),
    "set_aside": "celery_health.dead_letters.aside",
    **dict.fromkeys(("RequeueInterruptedError", "RequeueStopped"), "celery_health.dead_letters.resending"),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
