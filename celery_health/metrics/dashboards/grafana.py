"""Dashboards as Grafana reads them: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/.

Only what the dashboards here need, in the words of Grafana's JSON model (schema version 39, Grafana 10 and
later). Pure: the same dashboard gives the same text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["timeseries", "stat", "table", "state-timeline"]

#: Columns of Grafana's grid.
WIDTH: Final = 24
SCHEMA_VERSION: Final = 39
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLOURS: Final = ("green", "orange", "red")


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One expression of a panel."""

    expr: str
    legend: str = ""
    """What stands in the legend: text, and ``{{label}}``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One picture."""

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    unit: str = "short"
    """One of Grafana's: ``s``, ``short``, ``percentunit``, ``ops``."""
    width: int = 8
    height: int = 8
    limits: tuple[float, float] | None = None
    """From where on it is orange, and red."""
    texts: Mapping[str, tuple[str, str]] | None = None
    """Value to what is shown for it, and in which colour."""
    stacked: bool = False
    shows_name: bool = False
    """A stat that shows the name of its series instead of the value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A choice at the top of a dashboard: the values of one label."""

    name: str
    label: str
    metric: str
    """The series that have the label, as a selector."""
    of: str
    """The label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dashboard:
    """A page of panels."""

    uid: str
    """Stable: links between dashboards, and an import over an older version, need it."""
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return every query of every panel."""
        return tuple(query for row in self.rows for panel in row.panels for query in panel.queries)


def render(dashboard: Dashboard) -> str:
    """Return the JSON to import into Grafana."""
    return json.dumps(_dashboard(dashboard), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["celery", "celery-health"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "links": [
            {
                "type": "dashboards",
                "title": "Celery",
                "tags": ["celery-health"],
                "keepTime": True,
                "includeVars": True,
                "asDropdown": False,
            }
        ],
        "templating": {"list": [_data_source(), *(_variable(each) for each in dashboard.variables)]},
        "panels": _panels(dashboard.rows),
    }


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.of})"
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Matches series without the label, too: not everybody has namespaces.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        found.append(_heading(row.title, len(found) + 1, top))
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            found.append(_panel(panel, len(found) + 1, place))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return found


def _heading(title: str, number: int, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
    }


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    is_now = panel.kind in ("stat", "table")
    shown: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [
            {
                "refId": chr(ord("A") + place_),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": is_now,
                "range": not is_now,
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for place_, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }
    if panel.kind == "table":
        shown["transformations"] = _joined(panel)
    return shown


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": _COLOURS[0], "value": None}]
    if panel.limits:
        steps += [
            {"color": colour, "value": limit}
            for colour, limit in zip(_COLOURS[1:], panel.limits, strict=True)
        ]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
    elif panel.kind == "stat":
        # What is not known is not zero, and is not green.
        defaults["noValue"] = "unknown"
        defaults["color"] = {"mode": "thresholds"}
    if panel.texts:
        options = {
            value: {"text": text, "color": colour, "index": index}
            for index, (value, (text, colour)) in enumerate(panel.texts.items())
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background",
            "graphMode": "none",
            "textMode": "name" if panel.shows_name else "auto",
        }
    if panel.kind == "table":
        return {"showHeader": True}
    return {"showValue": "never", "mergeValues": True}


def _joined(panel: Panel) -> list[dict[str, Any]]:
    """Return what makes one table of several queries, with their legends as headings."""
    renamed = {f"Value #{chr(ord('A') + place)}": query.legend for place, query in enumerate(panel.queries)}
    if len(panel.queries) == 1:
        renamed["Value"] = panel.queries[0].legend
    return [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": renamed}},
    ]
