"""The workers of records and of answers together."""

from __future__ import annotations

from collections.abc import Iterable

from celery_health.records import Source, Worker


def merged(recorded: Iterable[Worker], answered: Iterable[Worker]) -> tuple[Worker, ...]:
    """Return every worker once: a live record before an answer, an answer before a record that has ended."""
    found: dict[str, list[Worker]] = {}
    for worker in recorded:  # of one name there may be two, which live side by side
        found.setdefault(worker.hostname, []).append(worker)
    for worker in answered:
        known = found.get(worker.hostname, ())
        if not known or (worker.state.is_live and not any(one.state.is_live for one in known)):
            found[worker.hostname] = [worker]
    return tuple(worker for name in sorted(found) for worker in found[name])


def source_of(workers: tuple[Worker, ...]) -> Source:
    """Return where the workers were read from."""
    sources = {worker.source for worker in workers}
    return Source.MIXED if len(sources) > 1 else next(iter(sources), Source.INSPECTION)
