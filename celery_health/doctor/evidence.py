"""The evidence that rules judge: all facts together, the same whoever gathered them, without I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from celery_health.connections.exchanges import AMQP_TRANSPORTS
from celery_health.doctor.caches import CacheFacts
from celery_health.doctor.entries import each_once
from celery_health.doctor.facts import CallFacts, CodeFacts, EntryFacts, QueueFacts, RouteFacts, TaskFacts
from celery_health.doctor.identity import IdentityFacts
from celery_health.doctor.results import ResultFacts
from celery_health.doctor.setting_facts import ConfFacts, DjangoFacts
from celery_health.records import Worker, WorkerState
from celery_health.topology import Binding

if TYPE_CHECKING:
    # A check of the settings alone has none: its dataclasses take time to make.
    from celery_health.doctor.live import LiveEvidence


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Everything that rules may look at."""

    app_name: str
    """For ``celery -A <name>`` in fixes."""
    transport: str = "redis"
    """As in the broker's URL."""
    tasks: Mapping[str, TaskFacts] = field(default_factory=dict)
    entries: tuple[EntryFacts, ...] = ()
    """Of the settings; live ones are in `live`."""
    queues: tuple[QueueFacts, ...] = ()
    """As the app declares them, the default one if it declares none; in the order of ``task_queues``."""
    routes: tuple[RouteFacts, ...] = ()
    routes_error: str | None = None
    """Why Celery cannot read ``task_routes``."""
    calls: tuple[CallFacts, ...] = ()
    """Calls in own code that name a broadcast."""
    bindings: tuple[Binding, ...] = ()
    """Of every queue that this app knows."""
    own_packages: frozenset[str] = frozenset()
    """Packages of own tasks, and of the project's apps."""
    expected_queues: tuple[str, ...] = ()
    """``EXPECTED_QUEUES``."""
    ignored_queues: tuple[str, ...] = ()
    """``IGNORED_QUEUES``."""
    scaled_to_zero: frozenset[str] = frozenset()
    """Queues that may be without consumers while they are empty (``QUEUES``)."""
    dead_letter_suffix: str = ".dead"
    """Of the queues of dead letters: nobody consumes those."""
    most_dead_letters: int = 10_000
    """``DEAD_LETTERS["max_length"]``: how many of one queue are kept."""
    silenced: tuple[str, ...] = ()
    conf: ConfFacts = field(default_factory=ConfFacts)
    django: DjangoFacts = field(default_factory=DjangoFacts)
    code: CodeFacts = field(default_factory=CodeFacts)
    results: ResultFacts = field(default_factory=ResultFacts)
    caches: tuple[CacheFacts, ...] = ()
    """Those whose clearing empties a database that the app needs."""
    identity: IdentityFacts = field(default_factory=IdentityFacts)
    """The apps of this process."""
    live: LiveEvidence | None = None
    """None: static knowledge only."""

    @property
    def is_amqp(self) -> bool:
        """Say whether the broker speaks AMQP: all others emulate exchanges, each in its own process."""
        return self.transport in AMQP_TRANSPORTS

    @property
    def is_redis(self) -> bool:
        """Say whether the broker is Redis, or Valkey, by whatever address."""
        return self.transport in ("redis", "rediss", "sentinel", "valkey", "valkeys")

    @property
    def own_tasks(self) -> Iterator[TaskFacts]:
        """Yield the tasks that the project defines, by name."""
        return (task for _, task in sorted(self.tasks.items()) if task.is_own)

    @property
    def all_entries(self) -> tuple[EntryFacts, ...]:
        """Return the entries of the settings and, live, those of tables and RedBeat; copies are no others."""
        live = self.live
        if live is None:
            return self.entries
        return each_once(self.entries, live.entries, read_from=live.read_from, switched_off=live.switched_off)

    @property
    def declared_queues(self) -> frozenset[str]:
        """Return the names in ``task_queues``, or the default queue's."""
        return frozenset(queue.name for queue in self.queues)

    @property
    def own_queues(self) -> frozenset[str]:
        """Return the queues of the project's workers: where tasks go that expect a consumer, else any own."""
        expecting = [task for task in self.tasks.values() if task.expects_consumer]
        tasks = expecting or list(self.own_tasks)
        return frozenset(queue for task in tasks if task.destination for queue in task.destination.queues)

    def sent_to(self) -> dict[str, tuple[str, ...]]:
        """Return queue → the tasks that go there: those that expect a consumer, and those that are seen.

        Seen are the names that wait in a queue and that are registered, here or by a worker of the project;
        where nobody can look, those that the store counted as sent there. Where messages wait and neither is
        known, it is the tasks that go there by their route, though they expect nothing while none is sent.
        """
        expecting: dict[str, set[str]] = {}
        optional: dict[str, set[str]] = {}
        for task in self.tasks.values():
            for queue in task.destination.queues if task.destination else ():
                found = expecting if task.expects_consumer else optional
                found.setdefault(queue, set()).add(task.name)
        known = self.all_names
        for queue in self._held():
            names = known.intersection(self._seen(queue)) or optional.get(queue)
            if names:
                expecting.setdefault(queue, set()).update(names)
        return {queue: tuple(sorted(names)) for queue, names in sorted(expecting.items())}

    def _seen(self, queue: str) -> Collection[str]:
        """Return the names that wait in a queue, or were sent there if nobody can look."""
        if self.live is None:
            return ()
        waiting = self.live.waiting.get(queue)
        return self.live.sent.get(queue, ()) if waiting is None else waiting.names

    def _held(self) -> frozenset[str]:
        """Return the queues that hold messages."""
        if self.live is None:
            return frozenset()
        filled = [queue.name for queue in self.live.snapshot.queues if queue.ready]
        # Dead letters wait for people: nobody has to consume them.
        suffix = self.dead_letter_suffix
        return frozenset(name for name in (*filled, *self.live.abandoned) if not name.endswith(suffix))

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Return the project's workers that are known to live; none without a look."""
        workers = self.live.snapshot.workers if self.live else ()
        return tuple(worker for worker in workers if worker.state.is_live)

    @property
    def last_workers(self) -> tuple[Worker, ...]:
        """Return the workers that live; where none does, those that were there, by their records.

        None while one may live that did not answer.
        """
        if self.live is None or self.workers:
            return self.workers
        workers = self.live.snapshot.workers
        return workers if all(worker.state is WorkerState.GONE for worker in workers) else ()

    def consumers(self, queues: Collection[str]) -> tuple[Worker, ...]:
        """Return the live workers that consume one of `queues`."""
        return tuple(w for w in self.workers if any(queue in queues for queue in w.queues or ()))

    def is_consumed(self, queue: str) -> bool:
        """Say whether somebody is seen to consume `queue`: a worker of another application too."""
        states = self.live.snapshot.queues if self.live else ()
        return bool(self.consumers([queue])) or any(one.consumers for one in states if one.name == queue)

    @property
    def all_names(self) -> frozenset[str]:
        """Return every task name that is registered here or, live, by some worker."""
        return frozenset(self.tasks).union(*(worker.registered or () for worker in self.workers))

    @property
    def knows_all_names(self) -> bool:
        """Say whether a name that is not among `all_names` is registered nowhere, as far as code shows."""
        return self.code.unseen is None

    def is_own_name(self, name: str) -> bool:
        """Say whether a task name, or the start of one, lies in a package of the project."""
        return any(name == package or name.startswith(f"{package}.") for package in self.own_packages)
