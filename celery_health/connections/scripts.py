"""The Lua that runs inside Redis, and the name under which Redis keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """One script; `RedisLink.run` runs it."""

    text: str
    sha: str


def load(package: str, *names: str, prelude: str = "") -> Script:
    """Return the files ``<name>.lua`` of `package` as one script, behind `prelude`."""
    folder = files(package)
    texts = (folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)
    return script("\n".join([prelude, *texts] if prelude else texts))


def script(text: str) -> Script:
    """Return `text`, Lua, as a script."""
    # Redis' name for it, no secret.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())
