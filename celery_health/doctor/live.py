"""What only a look at the running system shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from celery_health.records import ObservedRuntime, Snapshot
from celery_health.topology import matches_topic

if TYPE_CHECKING:
    from celery_health.doctor.evidence import EntryFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerBinding:
    """One binding that the broker itself has."""

    queue: str
    routing_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveEvidence:
    """One look at workers, broker, store and schedule tables."""

    snapshot: Snapshot
    entries: tuple[EntryFacts, ...] = ()
    """Enabled entries of django-celery-beat's tables and of RedBeat."""
    observed: Mapping[str, ObservedRuntime] = field(default_factory=dict)
    """Task name → how long its runs took; empty without a store."""
    bindings: Mapping[str, tuple[BrokerBinding, ...]] | None = None
    """Exchange → what the broker has bound to it, of those asked for; None where it cannot be asked."""

    def takers(self, exchange: str, exchange_type: str, key: str) -> tuple[str, ...] | None:
        """Return the queues that the broker puts such a message in; None when it was not asked."""
        bindings = (self.bindings or {}).get(exchange)
        if bindings is None:
            return None
        return tuple(b.queue for b in bindings if _takes(b, exchange_type, key))


def _takes(binding: BrokerBinding, exchange_type: str, key: str) -> bool:
    if exchange_type == "fanout":
        return True
    if exchange_type == "topic":
        return matches_topic(binding.routing_key, key, is_virtual=True)
    return binding.routing_key == key
