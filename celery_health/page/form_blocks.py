"""What somebody does on a page, as blocks: buttons, forms that ask first, fields. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from celery_health.page.blocks import Block


class Button(NamedTuple):
    """A link to a page that does something, or a button of a form."""

    text: str
    href: str
    tone: str = ""
    """``bad`` for what destroys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Actions(Block):
    """What one can do here; each leads to a page that asks first."""

    template: ClassVar[str] = "blocks/actions.html"

    buttons: tuple[Button, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Form(Block):
    """A question before something is done: what will happen, and a button."""

    template: ClassVar[str] = "blocks/form.html"
    holds_input: ClassVar[bool] = True

    csrf_token: str
    says: tuple[str, ...]
    """What will happen, to how many: whole sentences."""
    button: str
    tone: str = ""
    typed: str = ""
    """What has to be typed to confirm; empty where a press of the button is enough."""
    error: str = ""
    """What was wrong with what was sent before."""
    boxes: tuple[tuple[str, str], ...] = ()
    """What can be ticked: a name, and what it means."""
    action: str = ""
    """The address that it is sent to; empty for the page itself."""
    hidden: tuple[tuple[str, str], ...] = ()
    cancel: str = ""
    """The address of the way back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice(Block):
    """A field that leaves of a list those whose names begin so: ``?q=`` of the same page."""

    template: ClassVar[str] = "blocks/choice.html"
    holds_input: ClassVar[bool] = True

    what: str
    """What is chosen: ``queues``."""
    begins: str
    """What was chosen; empty for every one."""
    address: str
    """Of the list with every one."""
