"""Which names say that their value is a secret (``REDACT``)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

#: Where a word of a name begins: behind a sign, and at a capital or a number of ``cardNumber2``.
_BOUNDARY: Final = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])")
#: Matched as words alone: as parts they stand in ``className`` and ``businessName``.
_WORDS_ALONE: Final = frozenset({"ssn"})


class SecretNames:
    """Names that hold one of some patterns, in any case and way to write it."""

    def __init__(self, patterns: Iterable[str]) -> None:
        lowered = [pattern.lower() for pattern in patterns]
        self._parts = tuple(pattern for pattern in lowered if pattern not in _WORDS_ALONE)
        self._split = tuple(
            f"_{pattern}_" if pattern in _WORDS_ALONE else _split(pattern)
            for pattern in lowered
            if _split(pattern) != "_"
        )

    def __contains__(self, name: str) -> bool:
        """Say whether `name` is one: ``card_number`` is in ``CARD-NUMBER`` and in ``cardNumber``."""
        text = name.lower()
        if any(pattern in text for pattern in self._parts):
            return True
        split = f"_{_split(name)}_"
        return any(pattern in split for pattern in self._split)


def _split(name: str) -> str:
    return _BOUNDARY.sub("_", name).lower()
