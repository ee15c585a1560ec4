"""``celery_health exporter``: one process that serves the metrics, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.management.base import CommandParser

from celery_health.management.subcommands.base import UsageError
from celery_health.management.terminal import Terminal
from celery_health.reading import prepare
from celery_health.text.masking import describe_error

HELP: Final = "Serve /metrics for Prometheus: the one target to scrape. Ends with SIGTERM or Ctrl-C."
DEFAULT_HOST: Final = "0.0.0.0"
DEFAULT_PORT: Final = 9808


def add_arguments(parser: CommandParser) -> None:
    """Add the options of the exporter."""
    parser.add_argument(
        "--port", default=DEFAULT_PORT, metavar="PORT", help=f"Listen there ({DEFAULT_PORT}; 0: a free one)."
    )
    parser.add_argument(
        "--host",
        default=DEFAULT_HOST,
        metavar="HOST",
        help=f"The address to listen at ({DEFAULT_HOST}: all).",
    )


def run(terminal: Terminal, options: Mapping[str, Any]) -> int:
    """Serve until told to end, and return the exit status."""
    # Imported here: the verdict, which is asked more often, need not pay for the metrics and a server.
    from celery_health.management.scraping import METRICS_PATH, application
    from celery_health.management.server import open_server, serve
    from celery_health.metrics.scrape import get_collector

    port = _port(options["port"])
    host = str(options["host"])
    get_collector()  # Wrong settings are to end this process now, not to fail each scrape.
    prepare(0.0)  # What a scrape needs is imported meanwhile; nobody waits for that here.
    try:
        server = open_server(host, port, application)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host!r} and --port {port} cannot be listened at ({describe_error(error)}): "
            "another process may be there; give another, such as --port 9809."
        ) from error
    shown = f"[{host}]" if ":" in host else host
    terminal.write_lines([f"Serving http://{shown}:{server.server_port}{METRICS_PATH}"])
    serve(server)
    return 0


def _port(value: object) -> int:
    """Return the port; checked here, since ``call_command`` hands its arguments over unchecked."""
    try:
        port = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else -1
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise UsageError(
            f"--port is {value!r}: give a number from 0 to 65535, such as --port {DEFAULT_PORT}."
        )
    return port
