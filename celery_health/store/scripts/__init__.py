"""The Lua that runs inside Redis, and how it gets there."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """One script, and the name under which Redis keeps it."""

    text: str
    sha: str


def _load(*names: str) -> Script:
    folder = files(__name__)
    text = "\n".join(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)
    # Redis' name for it, no secret.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


PUBLISH: Final = _load("common", "publish")
READ: Final = _load("read")
RESET_IF_BEHIND: Final = _load("common", "reset_if_behind")
