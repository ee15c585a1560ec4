"""Rows of a record that are built when somebody looks at them: a verdict seldom does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

Row = TypeVar("Row")
RawRows = Sequence[Mapping[str, Any]]


class LazyRows(Sequence[Row]):
    """What `build` makes of the rows of a record, `age_seconds` after it was sent."""

    __slots__ = ("_age_seconds", "_build", "_built", "_raw")

    def __init__(
        self, raw: RawRows, build: Callable[[Mapping[str, Any], float], Row], age_seconds: float
    ) -> None:
        self._raw = raw
        self._build = build
        self._age_seconds = age_seconds
        self._built: tuple[Row, ...] | None = None

    def at(self, age_seconds: float) -> LazyRows[Row]:
        """Return the same rows at another age of their record."""
        return LazyRows(self._raw, self._build, age_seconds)

    @property
    def _rows(self) -> tuple[Row, ...]:
        if self._built is None:
            self._built = tuple(self._build(row, self._age_seconds) for row in self._raw)
        return self._built

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        """Return one row, or some."""
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return repr(self._rows)
