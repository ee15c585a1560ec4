"""Which Celery apps there are in this process, as facts: the one that is watched, and what others do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadApp:
    """The app that ``celery.current_app`` is in a new thread, where that is not the one that is watched."""

    name: str
    is_default: bool
    """The app that Celery makes where nobody made one."""
    broker: str
    """Where it sends to, masked."""
    is_other_broker: bool
    """It sends to another broker than the watched app."""
    tasks: tuple[str, ...] = ()
    """Own tasks made with ``shared_task`` that it sends elsewhere than the watched app does."""
    users: tuple[str, ...] = ()
    """Own modules that import ``current_app``."""
    is_unimported: bool = False
    """It is so while nobody has imported the watched app, which only celery_health does (``CELERY_APP``)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherApp:
    """An app of the project's that is not watched."""

    name: str
    argument: str | None
    """``proj.billing:app``: where it stands; None where no module holds it."""
    broker: str | None
    """Where it sends to, masked; None where its configuration cannot be read."""
    tasks: tuple[str, ...] = ()
    """Own tasks that are made with it."""
    entries: int = 0
    """How many entries its schedule has."""
    discovers: bool = False
    """It imports task modules as a worker's app does (``autodiscover_tasks``, ``include``, ``imports``)."""
    modules: frozenset[str] = frozenset()
    """Where its workers look for tasks, whether such a module is there or not."""
    is_watched: bool = False
    """The project's sources have settings under which a process watches it, or may do so."""
    asked_in_threads: bool = False
    """Where no ``CELERY_APP`` is set, requests ask about this one."""

    @property
    def has_work(self) -> bool:
        """Say whether it is there for workers or a beat: else it may only send to others' workers."""
        return bool(self.tasks or self.entries or self.discovers)


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityFacts:
    """The apps of this process."""

    name: str = ""
    """Of the watched app."""
    broker: str = ""
    """Where it sends to, masked."""
    module: str | None = None
    """The module that made it, where one holds it."""
    attribute: str = "app"
    """What it is called there."""
    holder_package: str | None = None
    """The package whose ``__init__`` is to import it; None where it does, or where there is none."""
    is_imported: bool = True
    """Somebody else than celery_health imports it here."""
    is_set: bool = False
    """``CELERY_APP`` names it."""
    in_threads: ThreadApp | None = None
    """None where ``current_app`` is the watched app in all threads, or nobody notices."""
    others: tuple[OtherApp, ...] = ()
