"""What is wrong, as a block of a page: the facts, what to do, what is so because of it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from celery_health.page.blocks import Block, Cell


class Advice(NamedTuple):
    """What to do: a text, in which commands stand apart, each with a button that copies it."""

    parts: tuple[tuple[bool, str], ...]
    """Whether it is a command, and the text."""


class Consequences(NamedTuple):
    """What is only so because of something else."""

    status: str
    ids: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong or not known, with what to do."""

    key: str
    """Unique on the page, and the same as long as it lasts."""
    status: str
    """As the check says it: ``fail``, ``warn``, ``unknown``, ``unsupported``, ``off``."""
    tone: str
    message: str
    ids: tuple[str, ...]
    """The checks that say it."""
    subject: Cell | None = None
    """What it is about, with its link."""
    advice: Advice | None = None
    runbook: str = ""
    """The address of what to do about such a thing."""
    consequences: tuple[Consequences, ...] = ()
    known: Cell | None = None
    """What else is known of it; its detail is the text of its link."""
    others: tuple[Cell, ...] = ()
    """More of the same kind, a line each, folded away."""
    left_out: int = 0
    """How many of them are not shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problems(Block):
    """What is wrong, the worst first."""

    template: ClassVar[str] = "blocks/problems.html"

    problems: tuple[Problem, ...]
    unknown: tuple[Problem, ...] = ()
    """What is not known or not watched, in a line each, folded away."""
    summary: str = ""
    """What of them is seen while they are folded away."""
    left_out: int = 0
    empty: str = ""
