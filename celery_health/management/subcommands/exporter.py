"""``celery_health exporter``: one process that serves the metrics, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django.core.management.base import CommandParser

from celery_health.conf import details_are_public
from celery_health.exceptions import CeleryHealthError
from celery_health.management.server import open_server, serve
from celery_health.management.subcommands.base import UsageError
from celery_health.management.terminal import Terminal
from celery_health.metrics.scrape import answer, get_collector
from celery_health.reading import prepare
from celery_health.text.masking import describe_error

logger = logging.getLogger(__name__)

HELP: Final = "Serve /metrics for Prometheus: the one target to scrape. Ends with SIGTERM or Ctrl-C."
DEFAULT_HOST: Final = "0.0.0.0"
DEFAULT_PORT: Final = 9808
METRICS_PATH: Final = "/metrics"
_FRONT: Final = (
    b"<!doctype html><html lang=en><title>celery_health</title>"
    b"<p>celery_health exporter: <a href=/metrics>/metrics</a>\n"
)

_Headers = list[tuple[str, str]]


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


def application(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer ``/metrics``, and ``/`` with the way there. WSGI; it never raises."""
    status, headers, body = _answer(environ)
    start_response(status, headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _answer(environ: Mapping[str, Any]) -> tuple[str, _Headers, bytes]:
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return _text("405 Method Not Allowed", "Only GET and HEAD.", ("Allow", "GET, HEAD"))
    path = environ.get("PATH_INFO", "")
    if path in ("", "/"):
        return "200 OK", _headers("text/html; charset=utf-8", _FRONT), _FRONT
    if path.rstrip("/") != METRICS_PATH:
        return _text("404 Not Found", f"Only {METRICS_PATH} is here.")
    try:
        scrape = answer(environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", ""))
    except CeleryHealthError as error:
        logger.error("%s", error)
        text = str(error) if details_are_public() else "The metrics could not be made; see the log."
        return _text("500 Internal Server Error", text)
    except Exception as error:
        logger.error("The metrics could not be made: %s", describe_error(error), exc_info=True)
        return _text("500 Internal Server Error", "The metrics could not be made; see the log.")
    return "200 OK", list(scrape.headers.items()), scrape.body


def _text(status: str, text: str, *more: tuple[str, str]) -> tuple[str, _Headers, bytes]:
    body = f"{text}\n".encode("utf-8", "replace")
    return status, [*_headers("text/plain; charset=utf-8", body), *more], body


def _headers(content_type: str, body: bytes) -> _Headers:
    return [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]


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
