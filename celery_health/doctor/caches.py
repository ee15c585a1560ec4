"""A cache that lies where messages do, as facts. Frozen, without I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheFacts:
    """One cache whose clearing empties a database that this app needs."""

    setting: str
    """As it is written: ``CACHES['default']``."""
    clears: str
    """The call that empties the database: ``cache.clear()``."""
    url: str
    """Masked."""
    database: int
    holds: tuple[str, ...]
    """What else is there, the worst first: ``broker``, ``result backend``, ``store``, ``schedule``."""
    line: str | None = None
    """What gives the cache a database that nothing else here uses; None where none is free."""
