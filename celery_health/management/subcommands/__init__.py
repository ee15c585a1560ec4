"""What ``celery_health`` can be asked: one module each, a `Subcommand`, registered in `SUBCOMMANDS`.

The command itself knows none of them. Without a subcommand `verdict` answers, which is built the same way.
"""

from __future__ import annotations

from typing import Final

from celery_health.management.subcommands import alerts, dead_letters, doctor, exporter
from celery_health.management.subcommands.base import Subcommand

#: By name, in the order of ``--help``.
SUBCOMMANDS: Final[dict[str, Subcommand]] = {
    "alerts": alerts,
    "dead-letters": dead_letters,
    "doctor": doctor,
    "exporter": exporter,
}
