"""Scrape a server as Prometheus does, and read what it answers."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support import Response

#: What Prometheus 2.42 sends (scrape/scrape.go).
PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def get(
    port: int,
    path: str = "/metrics",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
) -> Response:
    """Make one request on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Response(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.getheaders()},
            body=answer.read(),
            seconds=0.0,
        )
    finally:
        connection.close()


def samples(text: str) -> Samples:
    """Return the value of each sample of a text answer: name → labels → value."""
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
    found: Samples = {}
    for family in parse(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(text: str, name: str, /, **labels: str) -> float | None:
    """Return one sample; None when it is not there."""
    return samples(text).get(name, {}).get(tuple(sorted(labels.items())))
