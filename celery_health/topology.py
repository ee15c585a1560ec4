"""What should be: which queues the project's tasks and schedule go to, by the app's real router. No I/O."""

from __future__ import annotations

import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from celery_health.celery_app import settings_package

#: Where installed packages lie: a task from there is somebody else's.
_LIBRARIES: Final = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """Where the tasks of a project are sent, and by what."""

    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Queue → why somebody should consume it: ``task:<name>``, ``beat:<entry>``."""
    own_tasks: frozenset[str] = frozenset()
    """Names of the tasks that this project defines."""
    known_queues: tuple[str, ...] = ()
    """Every queue that the app declares, expected or not."""
    unrouted: Mapping[str, str] = field(default_factory=dict)
    """Task or entry → why the app's router gave no queue for it."""


def read_topology(app: Celery) -> Topology:
    """Return the topology of `app`, after importing its task modules the way a worker would.

    The router is asked over a copy of the queues: asking must not add a queue to what a worker in this
    process consumes (``celery.app.amqp.Queues.__missing__``).
    """
    import_tasks(app)
    router = app.amqp.Router(queues=_copy_of_queues(app))
    expected: dict[str, list[str]] = {}
    unrouted: dict[str, str] = {}
    own = own_tasks(app)

    def expect(reason: str, name: str, options: Mapping[str, Any]) -> None:
        try:
            queue = _destination(router, app, name, options)
        except Exception as error:  # a project's router may raise anything
            unrouted[reason] = f"{type(error).__name__}: {error}"
            return
        expected.setdefault(queue, []).append(reason)

    for name in own:
        expect(f"task:{name}", name, {})
    for entry, spec in _schedule(app).items():
        task = spec.get("task")
        if isinstance(task, str):
            expect(f"beat:{entry}", task, spec.get("options") or {})
    return Topology(
        expected={queue: tuple(sorted(reasons)) for queue, reasons in expected.items()},
        own_tasks=frozenset(own),
        known_queues=tuple(dict.fromkeys([*app.amqp.queues, *expected])),
        unrouted=unrouted,
    )


_imported: weakref.WeakSet[Celery] = weakref.WeakSet()


def import_tasks(app: Celery) -> None:
    """Import the task modules of `app` the way a worker does, once per process.

    Once, since Celery's Django fix-up runs every system check of the project each time
    (celery/fixups/django.py, ``on_import_modules``); a check of ours that comes here is not sent round again.
    """
    if app in _imported:
        return
    _imported.add(app)
    try:
        app.loader.import_default_modules()
    except BaseException:
        _imported.discard(app)
        raise
    app.finalize()


def _copy_of_queues(app: Celery) -> Any:
    amqp: Any = app.amqp
    queues = amqp.queues
    copy = amqp.Queues(dict(queues), create_missing=queues.create_missing)
    copy.aliases.update(queues.aliases)
    return copy


def _destination(router: Any, app: Celery, name: str, options: Mapping[str, Any]) -> str:
    """Return the name of the queue that a message for `name` lands in."""
    task: Any = app.tasks.get(name)
    # Like Task.apply_async: the task's own options, under those of the call (celery/app/task.py).
    defaults = task._get_exec_options() if task is not None else {}
    routed = router.route({**defaults, **options}, name, task_type=task)
    queue = routed.get("queue")
    if queue is None:
        exchange, key = routed.get("exchange"), routed.get("routing_key")
        raise LookupError(f"routed to exchange {exchange!r} with key {key!r}, no queue")
    return str(getattr(queue, "name", queue))


def _schedule(app: Celery) -> Mapping[str, Mapping[str, Any]]:
    schedule = app.conf.beat_schedule or {}
    return {
        str(name): entry if isinstance(entry, Mapping) else _entry_fields(entry)
        for name, entry in schedule.items()
    }


def _entry_fields(entry: Any) -> Mapping[str, Any]:
    # app.conf.beat_schedule also takes ScheduleEntry objects, and other people's subclasses of them.
    return {"task": getattr(entry, "task", None), "options": getattr(entry, "options", None)}


def own_tasks(app: Celery) -> list[str]:
    """Return the names of the tasks that the project itself defines: not Celery's, not a library's."""
    project = settings_package()
    return sorted(name for name, task in app.tasks.items() if _is_own(type(task).__module__, project))


def _is_own(module: str, project: str | None) -> bool:
    top = module.partition(".")[0]
    if top == "celery":
        return False
    path = getattr(sys.modules.get(module), "__file__", None)
    # The project itself may be installed as a package, and stays its own.
    return top == project or path is None or not path.startswith(_LIBRARIES)


class TopologyCache:
    """The topology of one app, read in a thread of its own: importing task modules may take seconds."""

    REFRESH_SECONDS = 60.0

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._read_at = float("-inf")
        self._topology: Topology | None = None
        self.error: str | None = None

    def get(self, wait_seconds: float) -> Topology | None:
        """Return the topology, waiting at most so long for the first; None when it is not there yet."""
        with self._lock:
            due = time.monotonic() - self._read_at > self.REFRESH_SECONDS
            if due and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._read, name="celery-health-topology", daemon=True)
                self._thread.start()
            thread = self._thread
        if self._topology is None and thread is not None:
            thread.join(wait_seconds)
        return self._topology

    def _read(self) -> None:
        try:
            self._topology = read_topology(self._app)
            self.error = None
        except Exception as error:  # importing a project's modules may raise anything
            self.error = f"{type(error).__name__}: {error}"
        finally:
            self._read_at = time.monotonic()
