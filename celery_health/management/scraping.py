"""What the exporter serves: one WSGI application that answers ``/metrics``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from celery_health.conf import details_are_public
from celery_health.exceptions import CeleryHealthError
from celery_health.metrics.scrape import answer
from celery_health.text.masking import describe_error

logger = logging.getLogger(__name__)

METRICS_PATH: Final = "/metrics"
_FRONT: Final = (
    b"<!doctype html><html lang=en><title>celery_health</title>"
    b"<p>celery_health exporter: <a href=/metrics>/metrics</a>\n"
)

_Headers = list[tuple[str, str]]


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
