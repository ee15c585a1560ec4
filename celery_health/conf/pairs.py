"""Settings that must fit each other: limits on silence, and how often a process that is well reports."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from celery_health.conf.schema import Settings
from celery_health.exceptions import ConfigurationError

#: A record comes up to this share of HEARTBEAT_INTERVAL earlier or later: `JITTER` of `reporting/agent.py`.
HEARTBEAT_SPREAD: Final = 0.2
#: Limits on the age of a record: whose, and how many records of that process must fit in. One may get lost.
_SILENCES: Final = {
    "worker_lost_seconds": ("worker", 2),
    "beat_lost_seconds": ("beat", 2),
    # How long ago a beat sent is known from its last record alone.
    "beat_doubled_seconds": ("beat", 1),
}
#: Where a limit is not set, it is at least so many times HEARTBEAT_INTERVAL.
_ROOMY: Final = 3


def fit(settings: Settings, given: Collection[str], where: str) -> Settings:
    """Return `settings` with limits on silence that fit how often processes report.

    A limit that the project has not set grows with the intervals. `given` are the names of those that it has
    set, in the dict named `where`.

    Raises:
        ConfigurationError: one that is set would be passed by processes that are well.
    """
    longest = settings.heartbeat_interval * (1 + HEARTBEAT_SPREAD) + settings.flush_interval
    grown: dict[str, float] = {}
    for name, (who, records) in _SILENCES.items():
        value: float = getattr(settings.limits, name)
        # Rounded up, so that what the message says is taken.
        least = math.ceil(records * longest * 10 - 1e-6) / 10
        if value >= least:
            continue
        if name in given:
            raise ConfigurationError(
                f"{where}[{name!r}] is {value:g}, and up to {longest:g} s pass between two records of a "
                f"{who} that is well (HEARTBEAT_INTERVAL {settings.heartbeat_interval:g} s, give or take a "
                f"fifth, and FLUSH_INTERVAL {settings.flush_interval:g} s). "
                f"Set {least:g} or more, or leave it out."
            )
        grown[name] = max(least, _ROOMY * settings.heartbeat_interval)
    return replace(settings, limits=replace(settings.limits, **grown)) if grown else settings
