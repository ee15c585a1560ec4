"""``manage.py celery_health``: parse, hand over to one subcommand, and turn what comes back into a status.

Exit status: 0 healthy or degraded, 1 unhealthy (``--strict``: degraded too), 2 wrong usage or configuration,
130 after Ctrl-C. No failure in here may be mistaken for an unhealthy Celery, so every error is a 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from celery_health.exceptions import CeleryHealthError
from celery_health.management.subcommands import SUBCOMMANDS, verdict
from celery_health.management.subcommands.base import Subcommand, UsageError
from celery_health.management.terminal import Terminal, choose_style
from celery_health.text.masking import describe_error
from celery_health.text.printable import printable

MISUSE: Final = 2
#: 128 + SIGINT, as shells report it.
INTERRUPTED: Final = 130


class Command(BaseCommand):
    """The truth about Celery, on the command line."""

    help = f"{verdict.HELP} Exit status: 0 healthy or degraded, 1 unhealthy, 2 wrong usage or configuration."
    # It must answer for a project whose other checks fail: that is when it is needed.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the verdict's options, and one parser for each subcommand."""
        before = len(parser._actions)
        verdict.add_arguments(parser)
        self._verdict_options = {action.dest: action.option_strings[0] for action in parser._actions[before:]}
        self._options_of: dict[str, set[str]] = {}
        if not SUBCOMMANDS:
            return
        subparsers = parser.add_subparsers(dest="subcommand", metavar="subcommand", title="subcommands")
        for name, subcommand in SUBCOMMANDS.items():
            subparser = subparsers.add_parser(
                name, help=subcommand.HELP, description=subcommand.HELP, parents=[_django_options()]
            )
            subcommand.add_arguments(subparser)
            self._options_of[name] = {action.dest for action in subparser._actions}
            for action in subparser._actions:
                if action.dest in self._verdict_options:
                    # Given before the subcommand it holds too, unless it is given again behind it.
                    action.default = argparse.SUPPRESS

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Heed NO_COLOR on standard error too, and tell every usage error apart from "unhealthy"."""
        if os.environ.get("NO_COLOR") and not options["force_color"]:
            options["no_color"] = True
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            error.returncode = MISUSE
            raise

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand, or the verdict.

        Raises:
            CommandError: wrong usage or configuration; its ``returncode`` is 2.
            SystemExit: what was found calls for another status than 0.
        """
        style = choose_style(self.stdout, no_color=options["no_color"], force_color=options["force_color"])
        try:
            status = self._chosen(options).run(Terminal(self.stdout, style), options)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except (UsageError, CeleryHealthError) as error:
            raise CommandError(printable(error)) from error
        except Exception as error:
            raise CommandError(
                f"celery_health itself failed, which says nothing about Celery: "
                f"{printable(describe_error(error))} (--traceback shows where)"
            ) from error
        if status:
            sys.exit(status)

    def _chosen(self, options: Mapping[str, Any]) -> Subcommand:
        name = options.get("subcommand")
        if name is None:
            return verdict
        for dest, option in self._verdict_options.items():
            if options[dest] not in (None, False) and dest not in self._options_of[name]:
                raise UsageError(
                    f"{option} belongs to the verdict: {name!r} has no such option. Leave it out."
                )
        return SUBCOMMANDS[name]


def _django_options() -> CommandParser:
    """Return Django's own options, so that they may also stand behind a subcommand."""
    parser = CommandParser(add_help=False)
    hidden: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    parser.add_argument("-v", "--verbosity", type=int, choices=[0, 1, 2, 3], **hidden)
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, **hidden)
    for name in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", **hidden)
    return parser
