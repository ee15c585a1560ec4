"""What a case is: a few lines of a project, and what the doctor finds wrong with it."""

from __future__ import annotations

import importlib
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.machinery import ModuleSpec
from pathlib import Path
from textwrap import dedent
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery import Celery, _state

from celery_health.conf import parse
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.examination import report_of
from celery_health.doctor.findings import DoctorReport
from celery_health.doctor.live import LiveEvidence
from celery_health.doctor.static import gather_static
from celery_health.reading.sharing import shared_queues
from celery_health.records import QueueState, Snapshot, Worker
from celery_health.testing import make_queue, make_snapshot, make_worker
from celery_health.topology import import_as_checks_do, read_topology

TAKEN_AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


class Project:
    """A throw-away project on Redis, sound until a case makes it otherwise. Nothing listens at its broker."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.app = Celery("shop", broker="redis://broker.invalid/0", set_as_current=False)
        self.app.conf.update(
            task_time_limit=60,
            broker_transport_options={"socket_timeout": 5},
            broker_connection_retry_on_startup=True,
            worker_cancel_long_running_tasks_on_connection_loss=True,
        )
        self.settings = SimpleNamespace(DEBUG=False, TIME_ZONE="UTC", USE_TZ=True)
        self.health: dict[str, Any] = {}
        self._at_end: list[Callable[[], object]] = []
        self._workers: list[Worker] = []
        self._strangers: list[Worker] = []
        self._queues: dict[str, dict[str, Any]] = {}
        self._live: dict[str, Any] = {}
        self._snapshot: dict[str, Any] = {}

    # Code and settings

    def conf(self, **options: Any) -> None:
        """Set options of the app."""
        self.app.conf.update(options)

    def broker(self, url: str) -> None:
        """Use another broker."""
        self.app.conf.broker_url = url

    def tasks(self, *names: str, **options: Any) -> None:
        """Register tasks without parameters."""
        for name in names:

            def run() -> None: ...

            self.app.task(name=name, shared=False, **options)(run)

    def task(self, name: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        """Register a function, as a decorator."""
        return self.app.task(name=name, shared=False, **options)

    def beat(self, task: str, entry: str = "entry", schedule: Any = 60, **fields: Any) -> None:
        """Add an entry to the schedule."""
        entries = dict(self.app.conf.beat_schedule or {})
        self.app.conf.beat_schedule = {**entries, entry: {"task": task, "schedule": schedule, **fields}}

    def configure(self, namespace: str | None = "CELERY", **settings: Any) -> None:
        """Make the app anew, and have it read Django's settings as `config_from_object` does."""
        vars(self.settings).update(settings)
        self.app = Celery("shop", set_as_current=False)
        self.app.set_default()
        self.app.config_from_object(self.settings, namespace=namespace)

    def package(self, name: str, **modules: str) -> None:
        """Write a package of source files; ``init`` is its ``__init__``."""
        self._write(self.folder, name, modules)

    def distribution(self, name: str, **modules: str) -> None:
        """Write a package where pip puts it, and import its tasks; it may be `installed`."""
        folder = self.folder / "site-packages"
        folder.mkdir(exist_ok=True)
        self._write(folder, name, modules)
        importlib.invalidate_caches()
        importlib.import_module(f"{name}.tasks")

    def _write(self, folder: Path, name: str, modules: dict[str, str]) -> None:
        package = folder / name
        package.mkdir()
        (package / "__init__.py").write_text(dedent(modules.pop("init", "")))
        for module, source in modules.items():
            (package / f"{module}.py").write_text(dedent(source))
        self.monkeypatch.syspath_prepend(str(folder))

    def installed(self, *packages: str) -> None:
        """Put packages into INSTALLED_APPS."""
        from django.apps import apps
        from django.core.management import get_commands

        # Both remember for the life of the process what they find: not these alone.
        import_as_checks_do()
        get_commands()
        places = [self.folder / "site-packages", self.folder]
        configs = [
            SimpleNamespace(name=name, path=str(next(p for p in places if (p / name).exists()) / name))
            for name in packages
        ]
        self.monkeypatch.setattr(apps, "get_app_configs", lambda: configs)

    def later(self, undo: Callable[[], object]) -> None:
        """Call this, and keep what it refers to, until the case has ended."""
        self._at_end.append(undo)

    def close(self) -> None:
        """End the case."""
        self.app.close()
        for undo in self._at_end:
            undo()

    # What is seen live

    def worker(
        self, hostname: str = "w1@host", queues: Iterable[str] | None = ("celery",), **changes: Any
    ) -> None:
        """Have a worker that registers every task of the app."""
        changes.setdefault("registered", frozenset(self.app.tasks))
        self._workers.append(make_worker(hostname, queues=queues and tuple(queues), **changes))

    def stranger(
        self, hostname: str, *registered: str, queues: Iterable[str] = ("celery",), **changes: Any
    ) -> None:
        """Have a worker of another application, as it answers."""
        changes.setdefault("registered", frozenset({*registered, "celery.ping"}))
        self._strangers.append(make_worker(hostname, queues=tuple(queues), **changes))

    def queue(self, name: str, **changes: Any) -> None:
        """Say something of a queue that the broker tells."""
        self._queues[name] = changes

    def live(self, **facts: Any) -> None:
        """Say something else that is seen live: fields of `LiveEvidence`."""
        self._live.update(facts)

    def snapshot(self, **facts: Any) -> None:
        """Say something of the snapshot."""
        self._snapshot.update(facts)

    # The examination

    def evidence(self) -> Evidence:
        """Return what is gathered: static alone, unless something was said to be seen."""
        self._hold_app()
        evidence = gather_static(self.app, self._settings(), source=self.settings)
        if not (self._workers or self._queues or self._live or self._snapshot or self._strangers):
            return evidence
        return replace(evidence, live=LiveEvidence(snapshot=self._make_snapshot(), **self._live))

    def _hold_app(self) -> None:
        """Have the app stand in a module that names its settings, as a project's does: commands name that."""
        module = ModuleType("shop")
        named = os.environ["DJANGO_SETTINGS_MODULE"]
        source = f"os.environ.setdefault('DJANGO_SETTINGS_MODULE', {named!r})"
        loader: Any = SimpleNamespace(get_source=lambda name: source)
        module.__spec__ = ModuleSpec("shop", loader)
        module.__dict__["app"] = self.app
        self.monkeypatch.setitem(sys.modules, "shop", module)

    def _make_snapshot(self) -> Snapshot:
        topology = read_topology(self.app)
        consumed = [queue for worker in self._workers for queue in worker.queues or ()]
        consumed += [queue for worker in self._strangers for queue in worker.queues or ()]
        names = sorted({*topology.known_queues, *self._queues, *consumed})
        beats = self._snapshot.get("beats", ())
        return make_snapshot(
            shared_queues=shared_queues(
                self._workers,
                self._strangers,
                topology,
                beats,
                ignored=self._settings().ignored_queues,
            ),
            taken_at=TAKEN_AT,
            workers=self._workers,
            queues=[self._queue_state(name, consumed, topology.expected.get(name, ())) for name in names],
            **self._snapshot,
        )

    def _queue_state(self, name: str, consumed: list[str], expected_by: tuple[str, ...]) -> QueueState:
        defaults = {"consumers": consumed.count(name), "expected_by": expected_by}
        return make_queue(name, **{**defaults, **self._queues.get(name, {})})

    def _settings(self) -> Any:
        return parse(self.health)

    def report(self) -> DoctorReport:
        """Return what the doctor says."""
        return report_of(self.evidence(), self._settings(), as_of=TAKEN_AT)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One configuration."""

    name: str
    build: Callable[[Project], None]
    finds: tuple[str, ...] = ()
    """``code:kind:name`` of each finding; none of a sound one."""
    fix: str | None = None
    """What the first finding's fix has to say."""
    near: tuple[str, ...] = ()
    """Names of the rules that a sound one comes near to."""


BROKEN: list[Case] = []
SOUND: list[Case] = []


def broken(*finds: str, fix: str) -> Callable[[Callable[[Project], None]], Callable[[Project], None]]:
    """Note a configuration that is wrong, with every finding that it gives."""

    def note(build: Callable[[Project], None]) -> Callable[[Project], None]:
        BROKEN.append(Case(name=build.__name__, build=build, finds=tuple(sorted(finds)), fix=fix))
        return build

    return note


def sound(*near: str) -> Callable[[Callable[[Project], None]], Callable[[Project], None]]:
    """Note a configuration that is right: nothing is found; `near` are the rules that it comes close to."""

    def note(build: Callable[[Project], None]) -> Callable[[Project], None]:
        SOUND.append(Case(name=build.__name__, build=build, near=near))
        return build

    return note


@contextmanager
def a_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Make a project that shares no task with anybody, and leaves no module behind."""
    finalizers = _state._on_app_finalizers  # type: ignore[attr-defined]
    builtin = {one for one in finalizers if getattr(one, "__module__", "") == "celery.app.builtins"}
    monkeypatch.setattr(_state, "_on_app_finalizers", builtin)
    # An app of another test would take each shared task of this one, too.
    monkeypatch.setattr(_state, "_apps", weakref.WeakSet())
    # The first app is the default one, as in a process of its own.
    monkeypatch.setattr(_state, "default_app", None)
    before = set(sys.modules)
    project = Project(folder, monkeypatch)
    try:
        yield project
    finally:
        project.close()
        for name in set(sys.modules) - before:
            if isinstance(sys.modules[name], ModuleType) and _lies_in(sys.modules[name], folder):
                del sys.modules[name]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    path = getattr(module, "__file__", None)
    return path is not None and Path(path).is_relative_to(folder)
