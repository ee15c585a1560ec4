"""What a rule of the doctor means: its text in the docs, which every installation carries. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import getdoc

from celery_health.doctor.rules import RULES, Rule
from celery_health.page.blocks import Cell, Html, Page, Text, name
from celery_health.page.links import Links
from celery_health.page.rendering import render


def page(asked: str, links: Links) -> Page:
    """Return what the rule of this name, or of this code, finds and why that matters."""
    rule = next((rule for rule in RULES if asked == rule.name or asked.upper() in rule.codes()), None)
    back = Cell("All findings", href=links.doctor)
    if rule is None:
        says = Cell(f"The doctor has no rule {name(asked).text}.")
        blocks: tuple[Text | Html, ...] = (Text(id="nothing", lines=(says, back)),)
        return Page(title=name(asked).text, kind="Rule", blocks=blocks, status=404, refreshes=False)
    html = render("rule.html", summary=_pieces(rule.summary), blocks=list(_blocks(rule)), docs=rule.docs())
    blocks = (Html(id="rule", html=html), Text(id="back", lines=(back,)))
    return Page(title=rule.name, kind=", ".join(rule.codes()), blocks=blocks, refreshes=False)


def _blocks(rule: Rule) -> Iterator[tuple[bool, list[list[tuple[bool, str]]]]]:
    """Yield paragraphs, and lists: whether it is a list, and its items in pieces."""
    text = getdoc(sys.modules[type(rule).__module__]) or ""
    for block in text.split("\n\n"):
        before, *items = re.split(r"(?:^|\n)- ", block)
        if before.strip():
            yield False, [_pieces(before)]
        if items:
            yield True, [_pieces(item) for item in items]


def _pieces(text: str) -> list[tuple[bool, str]]:
    """Return a text in pieces, with whether each is code: reStructuredText has that in two backticks."""
    pieces = re.split(r"``(.+?)``", " ".join(text.split()))
    return [(number % 2 == 1, piece) for number, piece in enumerate(pieces) if piece]
