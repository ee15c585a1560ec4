"""An action that a page offers: what it asks, what it does, and what became of it.

Another one is a class as that of `letter_purge`, and its place in `acting.ACTIONS`: the page that asks,
the confirmation, CSRF, who may, and the result that a reload does not do again are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.page.form_blocks import Button
from celery_health.page.links import Links
from celery_health.records import HealthReport
from celery_health.text.printable import printable


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What will happen, before it does."""

    title: str
    says: tuple[str, ...]
    """What will happen, to how many: whole sentences."""
    button: str
    """Empty where there is nothing to do."""
    tone: str = ""
    """``bad`` for what destroys."""
    boxes: tuple[tuple[str, str], ...] = ()
    """What can be ticked: a name, and what it means."""
    hidden: tuple[tuple[str, str], ...] = ()
    """What is sent along, so that it is done to what was seen."""
    status: int = 200
    """Of HTTP: 404 where what it is about is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was done, and what was not, and why."""

    lines: tuple[tuple[str, str], ...]
    """A tone and a sentence each."""
    again: bool = False
    """There is more to do of the same: the time was up."""


class Refused(CeleryHealthError):
    """Nothing was done: the message says why, and the question is asked again."""

    def __init__(self, message: str, status: int = 409) -> None:
        self.status = status
        """Of HTTP."""
        super().__init__(message)


#: What the address names: queue, id and the like.
Target = Mapping[str, str]


class Action(ABC):
    """Something that can be done. It has no state."""

    path: ClassVar[str]
    """Its address below ``page/``."""
    stop: ClassVar[str]
    """The stop on the rail that it belongs to."""
    kind: ClassVar[str]
    """The small line above the heading."""
    parameters: ClassVar[Sequence[str]]
    """What may stand in the address, the first of which must."""
    fields: ClassVar[Sequence[str]] = ()
    """What the form has besides the confirmation: `Question.boxes`, `Question.hidden`."""

    @abstractmethod
    def question(self, target: Target, report: HealthReport, deadline: Deadline) -> Question:
        """Return what would happen, from a dry run.

        Raises:
            CeleryHealthError: that cannot be found out.
        """

    @abstractmethod
    def confirmation(self, target: Target) -> str | None:
        """Return the name that has to be typed; None where a press of the button is enough."""

    @abstractmethod
    def do(self, target: Target, fields: Mapping[str, str], who: str, deadline: Deadline) -> Outcome:
        """Do it within the ``DEADLINE`` setting, log who did, and say what was done.

        Raises:
            Refused: nothing was done.
            BadParameter: the address or a field cannot be understood; nothing was done.
        """

    @abstractmethod
    def ways(self, target: Target, links: Links) -> tuple[Button, ...]:
        """Return where to go from here; the first is the way back."""


def typed_form(name: str) -> str:
    r"""Return what has to be typed for a name: the name, with what cannot be seen or typed made visible.

    That are control characters, as everywhere, and blanks at its ends or side by side: ``\x20``.
    """
    shown = printable(name)
    words = shown.split(" ")
    if "" not in words:
        return shown
    inner = shown.strip(" ")
    before, after = len(shown) - len(shown.lstrip(" ")), len(shown) - len(shown.rstrip(" "))
    if not inner:
        return "\\x20" * len(shown)
    while "  " in inner:
        inner = inner.replace("  ", " \\x20")
    return "\\x20" * before + inner + "\\x20" * after


def is_confirmed(given: str | None, name: str) -> bool:
    """Say whether the name was typed: exactly, or as it was shown."""
    return given is not None and given in (name, typed_form(name))
