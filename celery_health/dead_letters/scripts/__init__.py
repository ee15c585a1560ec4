"""The Lua scripts of the Redis box, and their digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A script, and what Redis knows it by."""

    source: str
    sha: str


def _load(name: str) -> Script:
    source = resources.files(__package__).joinpath(f"{name}.lua").read_text()
    return Script(source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


WRITE: Final = _load("write")
PAGE: Final = _load("page")
SEND: Final = _load("send")
SIZES: Final = _load("sizes")
