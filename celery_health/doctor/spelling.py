"""How a setting is written in this project: a line to paste where its other settings of Celery stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from celery_health.doctor.evidence import Evidence

#: Entries of a dict to paste; of more, the finding's evidence holds all.
MOST_ENTRIES: Final = 20


def setting_name(evidence: Evidence, option: str) -> str:
    """Return the name under which the app reads `option`: ``CELERY_TASK_ROUTES``, or the app's own."""
    django = evidence.django
    # What is assigned on the app goes before what stands in the settings.
    if django.reads_django_settings and django.namespace and option not in django.assigned:
        return f"{django.namespace}_{option.upper()}"
    return f"app.conf.{option}"


def assigned(evidence: Evidence, option: str, value: Any) -> str:
    """Return the line that sets `option`."""
    return f"{setting_name(evidence, option)} = {value!r}"


def transport_option_added(evidence: Evidence, key: str, value: Any) -> str:
    """Return the line that sets one of ``broker_transport_options`` beside those that are there."""
    name = setting_name(evidence, "broker_transport_options")
    if evidence.conf.has_transport_options:
        return f"{name}[{key!r}] = {value!r}"
    return f"{name} = {{{key!r}: {value!r}}}"


def routes_added(evidence: Evidence, routes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the line that gives tasks routes of their own, before those that are there."""
    name, form, written = (
        setting_name(evidence, "task_routes"),
        evidence.conf.form_of_routes,
        _entries(routes),
    )
    if not form:
        return f"{name} = {written}"
    if form == "dict":
        return f"{name} |= {written}"
    return f"{name} = ({written}, {'*' * (form == 'list')}{name})"


def annotations_added(evidence: Evidence, annotations: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the line that changes options of tasks without touching their code."""
    name = setting_name(evidence, "task_annotations")
    if evidence.conf.has_annotations:
        return f"in {name}, {_entries(annotations)}"
    return f"{name} = {_entries(annotations)}"


def _entries(entries: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"{key!r}: {dict(value)!r}" for key, value in entries.items()]
    if len(lines) > MOST_ENTRIES:
        lines[MOST_ENTRIES:] = [f"... and {len(lines) - MOST_ENTRIES} more"]
    return "{" + ", ".join(lines) + "}"
