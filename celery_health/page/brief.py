"""Blocks that take one line: what there is nothing to show of, and what few ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from celery_health.page.blocks import Block, Cell


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief(Block):
    """A heading with one sentence beside it."""

    template: ClassVar[str] = "blocks/brief.html"

    says: Cell


@dataclass(frozen=True, kw_only=True, slots=True)
class Folded(Block):
    """Lines below a title that opens them."""

    template: ClassVar[str] = "blocks/folded.html"

    lines: tuple[Cell, ...]
