"""A pure function whose last answer holds as long as it is asked the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Last(Generic[Q, A]):
    """Keeps one answer, until it is asked something else. Several threads may ask.

    For what is large and nearly always equal, such as the names of ten thousand queues: to compare them takes
    a tenth of putting them in order.
    """

    def __init__(self, function: Callable[[Q], A]) -> None:
        """Take a pure function; what it is asked is never changed."""
        self._function = function
        self._kept: tuple[Q, A] | None = None

    def __call__(self, question: Q) -> A:
        """Return the answer: the very same as the last time where the question is equal."""
        kept = self._kept
        if kept is None or kept[0] != question:
            kept = self._kept = question, self._function(question)
        return kept[1]
