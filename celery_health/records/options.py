"""How a project writes the options of its Celery app: a name, or a line, to paste where its others stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class OptionNames:
    """By which name, and where, the app reads each option; by default what is assigned on it."""

    prefix: str | None = None
    """What names begin with in Django's settings (``CELERY_``); None without a namespace."""
    module: str | None = None
    """The module or class that the app is configured by (``celeryconfig``); None for Django's settings."""
    old: Mapping[str, str] = field(default_factory=dict)
    """Option → its name from before Celery 4, where only those are read; empty elsewhere."""
    assigned: frozenset[str] = frozenset()
    """Options that were assigned on the app, and count: that goes before all but the environment."""
    filled: frozenset[str] = frozenset()
    """Options that are dicts, and hold something."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Option → the variable of this process's environment that sets it."""

    def name(self, option: str) -> str:
        """Return the name: ``CELERY_TASK_ROUTES``, ``CELERY_ROUTES``, ``task_routes`` or the app's own."""
        if option in self.assigned:
            return f"app.conf.{option}"
        if option in self.old:
            return self.old[option]
        if self.prefix is not None:
            # As Celery reads it (`celery.utils.collections.ConfigurationView`).
            return f"{self.prefix}{option.upper() if self.prefix.isupper() else option}"
        return option if self.module else f"app.conf.{option}"

    def in_words(self, option: str) -> str:
        """Return where the value comes from, as part of a sentence: the environment goes before all else."""
        if option in self.environment:
            return f"{self.environment[option]} in the environment"
        return f"{self.name(option)} in {self.module}" if self._is_in_module(option) else self.name(option)

    def line(self, option: str, value: Any) -> str:
        """Return the line that sets an option, with the module that it belongs in."""
        return self.placed(option, f"{self.name(option)} = {value!r}")

    def entry(self, option: str, key: str, value: Any) -> str:
        """Return the line that sets one entry of an option that is a dict, beside those that are there."""
        name = self.name(option)
        line = f"[{key!r}] = {value!r}" if option in self.filled else f" = {{{key!r}: {value!r}}}"
        return self.placed(option, f"{name}{line}")

    def placed(self, option: str, line: str) -> str:
        """Return a line to paste with where it belongs, if that cannot be seen by its name."""
        return f"In {self.module}: {line}" if self._is_in_module(option) else line

    def _is_in_module(self, option: str) -> bool:
        return self.module is not None and option not in self.assigned
