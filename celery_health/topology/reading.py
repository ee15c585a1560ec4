"""Read the topology of an app, and keep it fresh."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kombu.common import Broadcast

from celery_health.connections.shared_names import shared_name
from celery_health.project_code import importing_project, needs_main_thread, place_of
from celery_health.text.masking import describe_error
from celery_health.topology.django_tasks import carriers, further_queues
from celery_health.topology.imports import import_tasks
from celery_health.topology.model import Destination, Topology
from celery_health.topology.ownership import Expectations, Owner, ownership_of
from celery_health.topology.routing import Resolver
from celery_health.topology.schedule import configured_schedule, entry_options

if TYPE_CHECKING:
    from celery import Celery


def read_topology(app: Celery, *, with_urls: bool = False) -> Topology:
    """Return the topology of `app`, after importing its task modules the way a worker would.

    What only the project's URLs import is known `with_urls`, and where they are imported already.
    """
    import_tasks(app, with_urls=with_urls)
    resolver = Resolver(app)
    expectations = Expectations(app, resolver)
    ownership = ownership_of(app)
    carrying = carriers(app, ownership)
    owners = ownership.of_tasks(app) | {name: carrier.owner for name, carrier in carrying.items()}
    expected: dict[str, list[str]] = {}
    optional: set[str] = set()
    unexpected: set[str] = set()
    unrouted: dict[str, str] = {}
    queues_of_app: Any = app.amqp.queues
    names = {str(real): shared_name(queue) for real, queue in queues_of_app.items()}
    # No worker can be told to consume a queue by the name that those of all hosts have in common.
    of_hosts = {names[real] for real, queue in queues_of_app.items() if names[real] != real}
    of_hosts -= {names[real] for real, queue in queues_of_app.items() if isinstance(queue, Broadcast)}

    def expect(reason: str, name: str, options: Mapping[str, Any]) -> None:
        try:
            queues = [one for one in _expected_queues(resolver.resolve(name, options)) if one not in of_hosts]
        except Exception as error:  # a project's router may raise anything
            unrouted[reason] = describe_error(error)
            return
        for queue in queues:
            expected.setdefault(queue, []).append(reason)

    for name, carrier in carrying.items():
        for options in carrier.expected:
            expect(f"task:{name}", name, options)
        for options in carrier.optional:
            optional |= _optional_queues(resolver, name, options)
    for name, owner in owners.items():
        if name in carrying:
            continue
        if _expects(expectations, name, owner):
            expect(f"task:{name}", name, {})
        elif not name.startswith("celery."):
            queues = _optional_queues(resolver, name, {})
            optional |= queues
            unexpected |= queues if owner is not Owner.OTHER else set()
    for entry, spec in configured_schedule(app).items():
        task = spec.get("task")
        if isinstance(task, str):
            expect(f"beat:{entry}", task, entry_options(spec))
    optional |= further_queues(carrying)
    declared = list(names.values())
    return Topology(
        expected={queue: tuple(sorted(reasons)) for queue, reasons in expected.items()},
        own_tasks=frozenset(name for name, owner in owners.items() if owner is not Owner.OTHER),
        project_tasks=frozenset(name for name, owner in owners.items() if owner is Owner.PROJECT),
        own_queues=frozenset(unexpected.union(expected)),
        optional_queues=frozenset(optional.difference(declared, expected)),
        known_queues=tuple(dict.fromkeys([*declared, *expected])),
        shared_names=frozenset(name for real, name in names.items() if name != real),
        fanouts=frozenset(
            names[real]
            for real, queue in queues_of_app.items()
            if names[real] != real and getattr(queue.exchange, "type", None) == "fanout"
        ),
        unrouted=unrouted,
    )


def _expects(expectations: Expectations, name: str, owner: Owner) -> bool:
    try:
        return expectations.expects(name, owner)
    except Exception:  # the project's router, of somebody else's task: what it raises is told of own ones
        return owner is not Owner.OTHER


def _optional_queues(resolver: Resolver, name: str, options: Mapping[str, Any]) -> frozenset[str]:
    try:
        return frozenset(resolver.resolve(name, options).queues)
    except Exception:  # nobody is said to send it
        return frozenset()


def _expected_queues(destination: Destination) -> tuple[str, ...]:
    """Return the queues that somebody should consume for this destination to make sense.

    Raises:
        LookupError: there is none that this app knows of.
    """
    if destination.queues:
        return destination.queues
    raise LookupError(f"routed to {destination.describe()}, and no queue is known to be bound to that")


class TopologyCache:
    """The topology of one app, read in a thread of its own: importing task modules may take seconds."""

    REFRESH_SECONDS = 60.0

    def __init__(self, app: Celery, needs_urls: Callable[[], bool] = lambda: False) -> None:
        """Ask `needs_urls` in that thread: where there is a store, it says what the URLs would."""
        self._app = app
        self._needs_urls = needs_urls
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._read_at = float("-inf")
        self._started_at: float | None = None
        self._topology: Topology | None = None
        self.error: str | None = None
        """Why the last try to read it failed, in a whole sentence; None where it did not."""
        _caches.add(self)

    @property
    def importing_seconds(self) -> float | None:
        """Return for how long the first import of the task modules has been running; None when none is."""
        started_at = self._started_at
        if started_at is None or self._topology is not None or self._read_at != float("-inf"):
            return None
        return time.monotonic() - started_at

    def get(self, wait_seconds: float) -> Topology | None:
        """Return the topology, waiting at most so long for the first; None when it is not there yet."""
        with self._lock:
            due = time.monotonic() - self._read_at > self.REFRESH_SECONDS
            if due and (self._thread is None or not self._thread.is_alive()):
                self._thread = self._start()
            thread = self._thread
        if self._topology is None and thread is not None:
            thread.join(wait_seconds)
        return self._topology

    def _start(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._read, name="celery-health-topology", daemon=True)
        try:
            thread.start()
            self._started_at = self._started_at or time.monotonic()
        except RuntimeError as error:  # no more threads: the next call tries again
            self.error = f"The project's task modules cannot be imported ({describe_error(error)})."
            return None
        return thread

    def _read(self) -> None:
        try:
            self._topology, self.error = self._read_or_tell()
        finally:
            self._read_at = time.monotonic()

    def _read_or_tell(self) -> tuple[Topology | None, str | None]:
        """Return the topology, else the last one and why there is no newer."""
        why = "The project's task modules cannot be imported here ({}): no worker of this code would start."
        try:
            # A project's modules, and its routers, may raise anything.
            with importing_project():
                with_urls = self._needs_urls()
                import_tasks(self._app, with_urls=with_urls)
                why = "Where the project's tasks go cannot be read ({})."
                return read_topology(self._app, with_urls=with_urls), None
        except Exception as error:
            if needs_main_thread(error):
                why = (
                    f"{place_of(error)} sets a handler of signals when it is imported ({{}}). Python allows "
                    "that in a main thread alone, and here another imports the project's task modules."
                )
            return self._topology, why.format(describe_error(error))

    def _forget_thread(self) -> None:
        # It went with the fork, and may have held the lock.
        self._lock = threading.Lock()
        if self._thread is not None:
            self._thread = self._started_at = None


_caches: weakref.WeakSet[TopologyCache] = weakref.WeakSet()


def _after_in_child() -> None:
    for cache in list(_caches):
        cache._forget_thread()


os.register_at_fork(after_in_child=_after_in_child)
