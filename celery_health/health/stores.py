"""Whether the places where our own facts are kept are well: the store, and the dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.connections.urls import is_same_server
from celery_health.health.base import Check
from celery_health.health.needs import (
    BROKER,
    WRITABLE,
    Need,
    letters_are_counted,
    refused_by,
    tasks_are_sent,
)
from celery_health.records import CheckResult, CheckStatus, LettersLack, Snapshot
from celery_health.text.commands import letters_command


class StoreReachable(Check):
    """Warn when the store is down, or takes no reports: inspection answers meanwhile, and counts nothing."""

    id: ClassVar[str] = "store.reachable"

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result."""
        store = snapshot.store
        if not store.configured:
            yield self.result(
                CheckStatus.UNSUPPORTED,
                "No store: neither broker nor result backend is a Redis. Set STORE_URL to have one.",
            )
        elif store.late and not snapshot.broker.late:
            at = f" at {store.url}" if store.url else ""
            why = f"Whether the store{at} answers is not known. {store.late}"
            yield self.result(CheckStatus.UNKNOWN, why)
        elif store.reachable is None:
            because = BROKER if snapshot.broker.is_lacking else None
            yield self.result(CheckStatus.UNKNOWN, "The store was not asked.", because=because)
        elif _is_the_brokers(snapshot) and snapshot.broker.reachable is False and store.reachable is False:
            why = f"The store at {store.url} is the broker's server, which does not answer."
            yield self.result(CheckStatus.UNKNOWN, why, because=BROKER)
        elif store.reachable is False and refused_by(snapshot) == WRITABLE:
            why = f"The store at {store.url} is the broker's server, which refuses writes: it was not read."
            yield self.result(CheckStatus.UNKNOWN, why, because=WRITABLE)
        elif store.reachable and store.refuses_writes and refused_by(snapshot) == WRITABLE:
            why = f"The store at {store.url} is the broker's server, which refuses writes: no report arrives."
            yield self.result(CheckStatus.UNKNOWN, why, because=WRITABLE)
        elif store.reachable and store.refuses_writes:
            why = f"The store at {store.url} answers, and takes no reports: {store.refuses_writes}."
            yield self.result(CheckStatus.WARN, why, recommendation=why)
        elif store.reachable:
            yield self.result(CheckStatus.PASS, f"The store at {store.url} answers.")
        else:
            yield self.result(
                CheckStatus.WARN,
                f"The store at {store.url} cannot be read: {store.error}",
                recommendation=f"The store at {store.url} cannot be read. Check its Redis (STORE_URL).",
            )


def _is_the_brokers(snapshot: Snapshot) -> bool:
    """Say whether the broker's server is the store's as well: that it is away is said once."""
    return is_same_server(snapshot.broker.url, snapshot.store.url)


class DeadLettersSize(Check):
    """Warn when too many letters lie in one dead letter queue."""

    id: ClassVar[str] = "dead_letters.size"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, letters_are_counted)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per queue over its limit or unreadable, else one for all."""
        letters = snapshot.dead_letters
        if letters is None:
            yield self._not_counted(snapshot.dead_letters_lack)
            return
        results = []
        for queue, size in sorted(letters.items()):
            limit = settings.limit("dead_letters", queue=queue)
            if size is None:
                results.append(
                    self.result(
                        CheckStatus.UNKNOWN,
                        f"The dead letters of '{queue}' could not be counted.",
                        subject=queue,
                    )
                )
            elif size > limit:
                held = f"{size} dead letters of queue '{queue}' wait to be looked at (limit {limit:g})."
                results.append(
                    self.result(
                        CheckStatus.WARN,
                        held,
                        subject=queue,
                        observed=size,
                        limit=limit,
                        unit="letters",
                        recommendation=f"{held} See them: {letters_command('list', queue)}",
                    )
                )
        total = sum(size or 0 for size in letters.values())
        yield from results or [
            self.result(
                CheckStatus.PASS,
                "Few dead letters wait.",
                observed=total,
                limit=settings.limits.dead_letters,
                unit="letters",
            )
        ]

    def _not_counted(self, lack: LettersLack | None) -> CheckResult:
        if lack is LettersLack.OFF:
            return self.result(CheckStatus.OFF, "Dead letters are off (DEAD_LETTERS).")
        if lack is LettersLack.UNSUPPORTED:
            return self.result(CheckStatus.UNSUPPORTED, "This transport cannot keep dead letters.")
        return self.result(CheckStatus.UNKNOWN, "Dead letters were not counted; why is not known.")
