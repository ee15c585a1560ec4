"""The rules as files: for Prometheus itself, and as a PrometheusRule of its Kubernetes operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from celery_health.metrics.alerts import Alert, Project, Recording, alerts_of, recordings_of
from celery_health.metrics.promql import duration

#: Where the runbooks stand, unless a project keeps its own: relative to this project's sources.
RUNBOOKS: Final = "docs/how-to/runbooks.md#"
GROUP: Final = "celery_health"
#: The rules of a project that sets nothing, for whom a file in the package is handier than the command.
SHIPPED: Final = Path(__file__).with_name("rules.yml")


def prometheus_file(project: Project, *, runbooks: str = RUNBOOKS) -> str:
    """Return a rule file for Prometheus. That of the default settings is shipped as `SHIPPED`.

    Args:
        project: what the rules are for.
        runbooks: what stands before the alert's name: see `runbook`.
    """
    return "".join(f"{line}\n" for line in _groups(project, runbooks))


def operator_manifest(
    project: Project, *, name: str, namespace: str | None = None, runbooks: str = RUNBOOKS
) -> str:
    """Return a PrometheusRule, which the Prometheus Operator gives to Prometheus."""
    head = [
        "apiVersion: monitoring.coreos.com/v1",
        "kind: PrometheusRule",
        "metadata:",
        f"  name: {_text(name)}",
    ]
    if namespace:
        head.append(f"  namespace: {_text(namespace)}")
    lines = [*head, "spec:", *(f"  {line}" for line in _groups(project, runbooks))]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def runbook(alert: str, runbooks: str = RUNBOOKS) -> str:
    """Return the address of an alert's runbook, which ends with its name in lower case, as anchors do."""
    return f"{runbooks}{alert.lower()}"


def _groups(project: Project, runbooks: str) -> Iterator[str]:
    yield "groups:"
    yield f"  - name: {GROUP}"
    yield "    rules:"
    for recording in recordings_of(project):
        yield from _recording(recording)
    for alert in alerts_of(project):
        yield from _alert(alert, project, runbooks)


def _recording(rule: Recording) -> Iterator[str]:
    yield f"      - record: {_text(rule.name)}"
    yield from _expr(rule.expr)


def _alert(rule: Alert, project: Project, runbooks: str) -> Iterator[str]:
    yield f"      - alert: {_text(rule.name)}"
    yield from _expr(rule.expr)
    yield f"        for: {duration(rule.hold_seconds * project.scope.pace)}"
    yield "        labels:"
    for label, value in {"severity": rule.severity, **rule.labels}.items():
        yield f"          {label}: {_text(value)}"
    yield "        annotations:"
    yield f"          summary: {_text(rule.summary)}"
    yield f"          runbook_url: {_text(runbook(rule.name, runbooks))}"


def _expr(expr: str) -> Iterator[str]:
    yield "        expr: |-"
    for line in expr.splitlines():
        yield f"          {line}"


def _text(text: str) -> str:
    """Return a YAML scalar: JSON's double-quoted strings are YAML's, too."""
    plain = text.replace("_", "").isalnum() and text.isascii() and not text.isdigit()
    return text if plain and text.lower() not in _WORDS else json.dumps(text)


#: Texts that YAML reads as something else.
_WORDS: Final = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
