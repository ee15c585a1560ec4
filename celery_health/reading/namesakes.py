"""Workers of other projects that listen under the name of one of ours: told apart by what they say. Pure.

Celery's default name is ``celery@host``: two projects on one machine share it. A broadcast to that name
reaches both, and each reply is kept. Two replies to a question whose senders cannot be told apart prove
nothing by themselves; what both of them say holds for either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from celery_health.headers import STATS_MARK
from celery_health.reading.builtin_replies import worker_from_builtin
from celery_health.reading.known_workers import MAX_SILENT_PAUSE_SECONDS, ROUNDS_OF_PROOF, is_ours_by
from celery_health.reading.questions import Said, is_doubled, processes
from celery_health.records import Worker
from celery_health.topology import Topology

#: How often, at most, it is asked who else listens under a name of ours.
NAMESAKES_SECONDS: Final = 30.0
#: The same while one that was there does not answer.
CONFIRM_SECONDS: Final = 2.0


def namesake_of(
    hostname: str, said: Said, topology: Topology, app_id: str, *, is_live: bool
) -> Worker | None:
    """Return the worker of another project that answers to a name of ours; None where none is proven.

    Args:
        hostname: the name of both.
        said: what was answered.
        topology: which tasks and queues are ours.
        app_id: ours.
        is_live: a record says that ours lives: it need not have answered.
    """
    found = processes(said.get("stats", ()))
    theirs = [one for one in found.values() if _app_id(one) != app_id]
    if not theirs or (len(found) == 1 and not is_live):
        return None
    registered, queues = _lists(said.get("registered", ())), _lists(said.get("active_queues", ()))
    if len(registered) < len(found) or not queues:
        return None  # whose the missing answers are is not known
    reply: dict[str, Any] = {"registered": min(registered, key=lambda one: _own(one, topology))}
    reply["active_queues"] = _in_all(queues)
    if len(theirs) == 1:
        reply["stats"] = theirs[0]
    worker = worker_from_builtin(hostname, reply)
    return None if is_ours_by(worker, topology) or _is_of(worker, topology) else worker


def ours_of(said: Said, topology: Topology) -> dict[str, Any]:
    """Return what ours answered, of what two under its name did, as far as it shows: a reply per command."""
    registered = _lists(said.get("registered", ()))
    mine = max(registered, key=lambda one: _own(one, topology), default=None)
    foreign = {name for one in registered if one is not mine for name in one}.difference(mine or ())
    reply: dict[str, Any] = {} if mine is None else {"registered": mine}
    stats = processes(said.get("stats", ())).values()
    reply["stats"] = next((one for one in stats if STATS_MARK in one), next(iter(stats), {}))
    for command in ("active", "reserved", "scheduled", "active_queues"):
        if replies := _lists(said.get(command, ())):
            reply[command] = [row for one in replies for row in one if _task(row) not in foreign]
    if "active_queues" in reply:
        reply["active_queues"] = list({_name(row): row for row in reply["active_queues"]}.values())
    return reply


def _app_id(stats: Mapping[str, Any]) -> object:
    mark = stats.get(STATS_MARK)
    return mark.get("app_id") if isinstance(mark, dict) else None


def _lists(replies: Iterable[Any]) -> list[list[Any]]:
    return [one for one in replies if isinstance(one, list)]


def _own(registered: Iterable[Any], topology: Topology) -> int:
    names = {str(one).partition(" ")[0] for one in registered}
    return len(names & topology.own_tasks)


def _is_of(worker: Worker, topology: Topology) -> bool:
    """Say whether it is one of ours without celery_health: it registers all that ours does."""
    return bool(topology.own_tasks) and topology.own_tasks <= (worker.registered or frozenset())


def _in_all(queues: Sequence[Sequence[Any]]) -> list[Any]:
    names = [{_name(row) for row in one} for one in queues]
    return [row for row in queues[0] if _name(row) in set.intersection(*names)]


def _name(row: object) -> object:
    return row.get("name") if isinstance(row, dict) else None


def _task(row: object) -> object:
    request = row.get("request") if isinstance(row, dict) else None
    return _name(request if isinstance(request, dict) else row)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    worker: Worker | None
    """None where it may be one of ours."""
    at: float
    misses: int = 0


class Namesakes:
    """Those that were proven, by name. Moments are seconds on one clock."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id
        self._seen: dict[str, _Seen] = {}
        self._asked_at = float("-inf")
        self._names: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """Return the names that two share: none of them is asked what only ours knows."""
        return frozenset(self._seen)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Return the workers of other projects."""
        return tuple(one.worker for one in self._seen.values() if one.worker is not None)

    def is_due(self, names: Collection[str], now: float) -> bool:
        """Say whether it is to be asked now who else is there."""
        is_open = any(one.misses for one in self._seen.values()) or not self._names.issuperset(names)
        return now - self._asked_at >= (CONFIRM_SECONDS if is_open else NAMESAKES_SECONDS)

    def note(
        self,
        said: Mapping[str, Said] | None,
        names: Collection[str],
        live: Collection[str],
        topology: Topology,
        now: float,
        *,
        all_bound: bool = True,
    ) -> None:
        """Take in who answered.

        Args:
            said: by name; None where no more listen than there are names.
            names: those that were asked.
            live: those of them whose records say that they live.
            topology: which tasks and queues are ours.
            now: when.
            all_bound: everybody who listens may have a name of his own: who does not answer has left.
        """
        self._asked_at, self._names = now, frozenset(names)
        seen: dict[str, _Seen] = {}
        for name, before in self._seen.items():
            misses = before.misses + 1
            is_gone = said is None or name not in names or (all_bound and misses >= ROUNDS_OF_PROOF)
            if not is_gone and now - before.at < MAX_SILENT_PAUSE_SECONDS:
                seen[name] = _Seen(worker=before.worker, at=before.at, misses=misses)
        self._seen = seen
        self.add(said or {}, live, topology, now)

    def add(self, said: Mapping[str, Said], live: Collection[str], topology: Topology, now: float) -> None:
        """Take in two that answered, as `note` does."""
        seen = dict(self._seen)
        for name, replies in said.items():
            worker = namesake_of(name, replies, topology, self._app_id, is_live=name in live)
            is_plain = any(STATS_MARK not in one for one in processes(replies.get("stats", ())).values())
            if worker is not None or is_doubled(replies) or (name in live and is_plain):
                seen[name] = _Seen(worker=worker, at=now)
        self._seen = seen
