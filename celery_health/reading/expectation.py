"""Which queues are read, and why somebody should consume them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from celery_health.conf import Settings
from celery_health.connections.shared_names import is_made_up
from celery_health.reading.schedules import schedule_entries
from celery_health.records import Beat
from celery_health.topology import Topology

#: Celery's own, which schedulers add by themselves (celery/beat.py).
_CLEANUP_TASK: Final = "celery.backend_cleanup"


def expecting(topology: Topology, beats: tuple[Beat, ...], settings: Settings) -> Topology:
    """Return `topology` with the queues that beats send to, and those of ``EXPECTED_QUEUES``.

    What is scheduled in a table or in Redis is known by beat's word alone.
    """
    expected = {name: list(reasons) for name, reasons in topology.expected.items()}
    for entry in schedule_entries(beats) or ():
        # Nobody has to consume for what no project has asked for.
        if entry.queue and entry.enabled and entry.task != _CLEANUP_TASK:
            expected.setdefault(entry.queue, []).append(f"beat:{entry.entry}")
    for name in settings.expected_queues:
        expected.setdefault(name, []).append("setting")
    return replace(
        topology,
        expected={
            name: tuple(dict.fromkeys(reasons))
            for name, reasons in expected.items()
            if name not in settings.ignored_queues
        },
    )


def queue_names(known: Iterable[str], settings: Settings) -> list[str]:
    """Return the queues to read, sorted: `known` ones, the expected among them, and those of the settings."""
    names = frozenset([*known, *settings.expected_queues, *settings.queues])
    # Earlier versions noted what kombu calls the broadcasts of each process: those are gone with it.
    return sorted(name for name in names.difference(settings.ignored_queues) if not is_made_up(name))
