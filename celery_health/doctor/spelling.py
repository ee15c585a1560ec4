"""How a setting is written in this project: a line to paste where its other settings of Celery stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from celery_health.doctor.evidence import Evidence

#: Entries of a dict to paste; of more, the finding's evidence holds all.
MOST_ENTRIES: Final = 20


def setting_name(evidence: Evidence, option: str) -> str:
    """Return the name under which the app reads `option`: ``CELERY_TASK_ROUTES``, or the app's own."""
    return evidence.django.options.name(option)


def assigned(evidence: Evidence, option: str, value: Any) -> str:
    """Return the line that sets `option`."""
    return evidence.django.options.line(option, value)


def all_assigned(evidence: Evidence, values: Mapping[str, Any]) -> str:
    """Return the lines that set several options, one after the other."""
    first, *others = values
    lines = [assigned(evidence, first, values[first])]
    lines += [f"{setting_name(evidence, option)} = {values[option]!r}" for option in others]
    return "; ".join(lines)


def transport_option_added(evidence: Evidence, key: str, value: Any) -> str:
    """Return the line that sets one of ``broker_transport_options`` beside those that are there."""
    return evidence.django.options.entry("broker_transport_options", key, value)


def routes_added(evidence: Evidence, routes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the line that gives tasks routes of their own, before those that are there."""
    name, form, written = (
        setting_name(evidence, "task_routes"),
        evidence.conf.form_of_routes,
        _entries(routes),
    )
    if not form:
        line = f"{name} = {written}"
    elif form == "dict":
        line = f"{name} |= {written}"
    else:
        line = f"{name} = ({written}, {'*' * (form == 'list')}{name})"
    return evidence.django.options.placed("task_routes", line)


def annotations_added(evidence: Evidence, annotations: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the line that changes options of tasks without touching their code."""
    name = setting_name(evidence, "task_annotations")
    if evidence.conf.has_annotations:
        return f"in {name}, {_entries(annotations)}"
    return evidence.django.options.placed("task_annotations", f"{name} = {_entries(annotations)}")


def _entries(entries: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"{key!r}: {dict(value)!r}" for key, value in entries.items()]
    if len(lines) > MOST_ENTRIES:
        lines[MOST_ENTRIES:] = [f"... and {len(lines) - MOST_ENTRIES} more"]
    return "{" + ", ".join(lines) + "}"
