"""The Lua that runs inside Redis, and how it gets there."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

from celery_health.counters import FAMILIES, UNKNOWN


@dataclass(frozen=True, slots=True)
class Script:
    """One script, and the name under which Redis keeps it."""

    text: str
    sha: str


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


def _load(*names: str, prelude: str = "") -> Script:
    folder = files(__name__)
    texts = (folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)
    text = "\n".join([prelude, *texts])
    # Redis' name for it, no secret.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


PUBLISH: Final = _load("common", "publish", prelude=_tables())
READ: Final = _load("read")
RESET_IF_BEHIND: Final = _load("common", "reset_if_behind")
