"""What a subcommand is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.core.management.base import CommandParser

from celery_health.management.terminal import Terminal


class Subcommand(Protocol):
    """What a module in this folder offers."""

    @property
    def HELP(self) -> str:
        """Return the sentence for ``--help``."""

    def add_arguments(self, parser: CommandParser, /) -> None:
        """Add its own options. One that the verdict has too (``--json``) may also stand before its name."""

    def run(self, terminal: Terminal, options: Mapping[str, Any], /) -> int:
        """Do it, and return the exit status.

        Raises:
            UsageError: an option's value makes no sense.
            CeleryHealthError: it could not be done; the command exits with 2 and shows the message.
        """


class UsageError(Exception):
    """An option's value makes no sense; the message names the option, the value and the fix."""
