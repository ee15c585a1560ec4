"""Arguments of tasks as text for people, with what must not be seen taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from celery.utils.saferepr import saferepr

from celery_health.text.embedded import mask_inside
from celery_health.text.masking import MASK, mask
from celery_health.text.positions import position_names
from celery_health.text.secret_names import SecretNames

#: Characters of the text; more is cut off.
MAX_LENGTH: Final = 500
#: Nested containers and items of one container that are looked through; what is beyond is not shown.
_MAX_DEPTH: Final = 4
MAX_ITEMS: Final = 50
#: Values that are looked at in all: more would not be seen, and costs.
_MAX_VALUES: Final = 300
_BEYOND: Final = "..."
#: A list that is called so holds positions of another call, as in a signature of Celery's, and has no names.
_POSITIONS: Final = frozenset({"args", "*args"})


def shown(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], redact: Sequence[str]
) -> tuple[str, str]:
    """Return the positional and the keyword arguments of a call as text. Never raises.

    A value whose name holds one of `redact`, in any case and at any depth, becomes ``**``, also in texts that
    hold JSON, a URL or the like. Positional arguments get their names from `function`: one whose name is not
    certain becomes ``**``, too.
    """
    try:
        cleaner = _Cleaner(redact)
        names = position_names(function)
        positional = [
            cleaner.named(names[index] if index < len(names) else None, value)
            for index, value in enumerate(args[:MAX_ITEMS])
        ]
        return _text(positional), _text(cleaner.clean(dict(kwargs)))
    except Exception:  # a foreign object's ``__repr__``, ``__len__`` and the like
        return MASK, MASK


class _Cleaner:
    """Takes out what must not be seen, of one call."""

    def __init__(self, redact: Sequence[str]) -> None:
        self._secrets = SecretNames(redact)
        self._left = _MAX_VALUES

    def named(self, name: str | None, value: Any, depth: int = 0) -> Any:
        """Return what may be seen of a value; None for a name that is not certain."""
        if name is None or self.is_secret(name):
            return MASK
        if name.lower() in _POSITIONS and isinstance(value, list | tuple):
            return [MASK] * min(len(value), MAX_ITEMS)
        return self.clean(value, depth)

    def is_secret(self, name: str) -> bool:
        return name in self._secrets

    def clean(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        is_container = isinstance(value, dict | list | tuple | set | frozenset)
        if self._left < 0 or (is_container and depth >= _MAX_DEPTH):
            return _BEYOND
        if isinstance(value, dict):
            return {
                self._key(key): self.named(_name(key), item, depth + 1)
                for key, item in islice(value.items(), MAX_ITEMS)
            }
        if isinstance(value, tuple) and isinstance(names := getattr(value, "_fields", None), tuple):
            pairs = islice(zip(names, value, strict=False), MAX_ITEMS)
            return {name: self.named(name, item, depth + 1) for name, item in pairs}
        if isinstance(value, list | tuple) and len(value) == 2 and self._names_secret(value[0]):
            # A pair of a name and its value, as of headers.
            return [self.clean(value[0], depth + 1), MASK]
        if is_container:
            return [self.clean(item, depth + 1) for item in islice(value, MAX_ITEMS)]
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, bytes | bytearray):
            return self._masked(bytes(value[: 2 * MAX_LENGTH]).decode("utf-8", "replace"))
        if value is None or isinstance(value, int | float):
            return value
        return _Shown(mask_inside(saferepr(value, maxlen=MAX_LENGTH), self.is_secret))

    def _names_secret(self, value: Any) -> bool:
        return isinstance(value, str | bytes) and len(value) <= MAX_LENGTH and self.is_secret(_name(value))

    def _key(self, key: Any) -> Any:
        if key is None or isinstance(key, int | float):
            return key
        if isinstance(key, str):
            return mask_inside(key[: 2 * MAX_LENGTH], self.is_secret)
        return _Shown(mask_inside(saferepr(key, maxlen=MAX_LENGTH), self.is_secret))

    def _masked(self, value: str) -> str:
        # An argument can be megabytes of text; more than is shown is not even looked at.
        if len(value) <= 2 * MAX_LENGTH and value.lstrip()[:1] in ("{", "["):
            try:
                held = json.loads(value)
            except (ValueError, RecursionError):
                held = None
            if isinstance(held, dict | list):
                # From the top again: JSON inside JSON ends somewhere, since each time there is less of it.
                return json.dumps(self.clean(held), ensure_ascii=False)
        return mask_inside(value[: 2 * MAX_LENGTH], self.is_secret)


def _name(key: Any) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


class _Shown:
    """Stands for an object in a text: its own text, cleaned."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _text(value: object) -> str:
    return mask(saferepr(value, maxlen=MAX_LENGTH))
