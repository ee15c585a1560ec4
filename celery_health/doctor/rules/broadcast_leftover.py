"""Messages lie in lists of broadcasts on Redis, whose workers are gone: nobody will ever read them.

Each worker's queue of a broadcast has a name of its own. A worker that ends in order takes the list along; of
one that was killed it stays, without an end of life: with misrouted messages (`broadcast-misrouted`), and,
where the broadcast is bound to a topic exchange, with all that is sent from then on, since the binding stays.

The broker's bindings and the lists behind them were looked at, and every worker that lives was asked for the
names of its queues.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.broadcast_misrouted import names_in
from celery_health.doctor.wording import listed
from celery_health.records import WorkerState
from celery_health.text.commands import purge_command

#: Lists that one command names; the finding's evidence holds more.
_MOST_LISTS: Final = 20


class BroadcastLeftover(Rule):
    """Lists of broadcasts are left over."""

    number: ClassVar = 225
    name: ClassVar = "broadcast-leftover"
    summary: ClassVar = "Lists of broadcasts hold messages, and their workers are gone."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per exchange; none while a worker may live that did not say what it consumes."""
        live = evidence.live
        if live is None or not live.broadcast_lists or not _are_all_known(evidence):
            return
        workers = [worker for worker in live.snapshot.workers if worker.state is not WorkerState.GONE]
        alive = {name for one in workers for names in one.names_on_broker.values() for name in names}
        consumed = {name for worker in workers for name in worker.queues or ()}
        named = {binding.exchange: binding.queue for binding in evidence.bindings}
        for exchange, lists in live.broadcast_lists.items():
            queue = named.get(exchange, exchange)
            left = {name: ready for name, ready in lists.items() if name not in alive | consumed}
            if not left or queue in evidence.ignored_queues or exchange in evidence.ignored_queues:
                continue
            names = sorted(names_in(evidence, left))
            what = f": {listed(names)}" if names else ""
            first = sorted(left)[:_MOST_LISTS]
            more = f" and {len(left) - len(first)} more lists" if len(left) > len(first) else ""
            yield self.finding(
                Kind.QUEUE,
                queue,
                f"{sum(left.values())} messages of broadcast '{queue}' lie in lists of workers that are "
                f"gone, and nobody will read them{what}.",
                evidence={"exchange": exchange, "lists": dict(sorted(left.items())), "names": names},
                fix=f"Delete them: {purge_command(evidence.app_name, *first)}{more}",
            )


def _are_all_known(evidence: Evidence) -> bool:
    """Say whether every worker that may live has said what it consumes."""
    live = evidence.live
    if live is None or live.snapshot.inspection.silent:
        return False
    workers = live.snapshot.workers
    return all(w.queues is not None for w in workers if w.state is not WorkerState.GONE)
