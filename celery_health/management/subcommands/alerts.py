"""``celery_health alerts``: the Prometheus rules, with this project's limits, queues and names filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from django.core.management.base import CommandParser

from celery_health.celery_app import find_app
from celery_health.conf import Settings, get_settings
from celery_health.management.subcommands.base import UsageError
from celery_health.management.terminal import Terminal
from celery_health.metrics.alerts import Project
from celery_health.metrics.promql import KEPT, Scope
from celery_health.metrics.rule_files import RUNBOOKS, operator_manifest, prometheus_file
from celery_health.monitoring import MonitoringOptions, options_of
from celery_health.topology.imports import import_tasks

HELP: Final = "Print the Prometheus alerting rules, with this project's limits and queues filled in."
FORMATS: Final = ("prometheus", "operator")
DEFAULT_NAME: Final = "celery-health"

_MATCHERS: Final = re.compile(r"""\s*(?P<label>[A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"\s*""")
#: What Kubernetes takes for a name: a DNS subdomain (RFC 1123).
_DNS_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")


def add_arguments(parser: CommandParser) -> None:
    """Add the options of the rules."""
    parser.add_argument(
        "--match",
        default="",
        metavar="MATCHERS",
        help='Only for these series, if a Prometheus scrapes several apps: \'job="shop",namespace="prod"\'.',
    )
    parser.add_argument(
        "--format", default=FORMATS[0], help="prometheus: a rule file (default); operator: a PrometheusRule."
    )
    parser.add_argument("--name", default=DEFAULT_NAME, help="Name of the PrometheusRule.")
    parser.add_argument("--namespace", default=None, help="Kubernetes namespace of the PrometheusRule.")
    parser.add_argument(
        "--runbooks",
        default=RUNBOOKS,
        metavar="URL",
        help="What stands before an alert's name, in lower case, in the address of its runbook.",
    )


def run(terminal: Terminal, options: Mapping[str, Any]) -> int:
    """Print the rules, and return the exit status."""
    project = _project(get_settings(), _scope(options["match"]))
    if options["format"] == "prometheus":
        text = prometheus_file(project, runbooks=options["runbooks"])
    elif options["format"] == "operator":
        text = operator_manifest(
            project,
            name=_dns_name("--name", options["name"]),
            namespace=options["namespace"] and _dns_name("--namespace", options["namespace"]),
            runbooks=options["runbooks"],
        )
    else:
        raise UsageError(f"--format is {options['format']!r}: give one of {', '.join(FORMATS)}.")
    terminal.write_lines(text.splitlines())
    return 0


def _project(settings: Settings, scope: Scope) -> Project:
    own = _options(settings)
    labels = [*settings.labels, *(label for told in own.values() for label in told.labels)]
    return Project(
        settings=settings,
        scope=scope,
        labels=tuple(dict.fromkeys(labels)),
        expected={name: told.expected_seconds for name, told in own.items() if told.expected_seconds},
    )


def _options(settings: Settings) -> dict[str, MonitoringOptions]:
    """Return what the tasks of the app say of themselves, by name."""
    app = find_app(settings)
    import_tasks(app)
    found = ((str(name), options_of(task)) for name, task in app.tasks.items())
    return {name: options for name, options in found if options is not None}


def _scope(given: str) -> Scope:
    """Return label matchers, checked: a mistake in them would make rules that never fire."""
    rest, parts, labels = given, [], list(KEPT)
    while rest.strip():
        found = _MATCHERS.match(rest)
        if found is None or (found.end() < len(rest) and rest[found.end()] != ","):
            raise UsageError(f"--match is {given!r}: give label matchers, such as --match 'job=\"shop\"'.")
        parts.append(found.group().strip())
        labels.append(found.group("label"))
        rest = rest[found.end() + 1 :]
    return Scope(matchers=",".join(parts), kept=tuple(dict.fromkeys(labels)))


def _dns_name(option: str, given: str) -> str:
    if not _DNS_NAME.fullmatch(given):
        raise UsageError(
            f"{option} is {given!r}: give lower case letters, digits and dashes, such as celery."
        )
    return given
