"""Who keeps the results of tasks, and who reads them, as facts. Frozen, without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BackendFault(StrEnum):
    """Why a result cannot be read."""

    MISSING = "missing"
    """No result backend is set: reading raises."""
    NO_PACKAGE = "no_package"
    """That of django-celery-results, which is not installed: sending any task raises."""
    NO_APP = "no_app"
    """The same, which is not in ``INSTALLED_APPS``."""
    PRIVATE = "private"
    """Each process has results of its own."""
    REPLIES = "replies"
    """``rpc://``: a result goes to the process that sent the task, once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultRead:
    """A place where own code reads the result of a task."""

    place: str
    """``module:line``."""
    text: str
    """What is written there, without arguments: ``send.delay(...).get``."""
    task: str | None
    """The task's name; None where it may be any."""
    is_by_id: bool = False
    """Of a result that somebody else may have asked for: ``AsyncResult(id)``."""
    is_guarded: bool = False
    """What is raised without a backend is caught, or asked for before."""
    asks_to_keep: bool = False
    """The call itself says ``ignore_result=False``."""
    has_own_backend: bool = False
    """The task brings a backend of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFacts:
    """Who keeps results, and who reads them; empty where nothing is amiss with the keeping."""

    fault: BackendFault | None = None
    reads: tuple[ResultRead, ...] = ()
    revoking: tuple[str, ...] = ()
    """Modules that have ``AsyncResult`` to revoke tasks, or for their ids, alone; only without a backend."""
