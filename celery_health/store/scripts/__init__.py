"""The Lua of the store."""

from __future__ import annotations

from typing import Final

from celery_health.connections.scripts import load
from celery_health.counters import FAMILIES, UNKNOWN

#: Labels whose values are capped.
_CAPPED: Final = ("name", "queue", "exception")


def _tables() -> str:
    """Return the Lua table of which cap each label of a family falls under; false: none."""
    rows = []
    for family in FAMILIES.values():
        tables = [f"'{label}'" if label in _CAPPED else "false" for label in family.labels]
        if family is UNKNOWN:
            tables = ["'unknown'"]
        rows.append(f"  {family.name} = {{ {', '.join(tables)} }},\n")
    return f"local tables = {{\n{''.join(rows)}}}\n"


PUBLISH: Final = load(
    __name__, "common", "starts", "streaks", "troubles", "missing", "entries", "publish", prelude=_tables()
)
READ: Final = load(__name__, "lines", "read")
COUNTS: Final = load(__name__, "lines", "counts")
MINUTES: Final = load(__name__, "lines", "minutes")
ROWS: Final = load(__name__, "rows")
RESET_IF_BEHIND: Final = load(__name__, "common", "reset_if_behind")
