"""Make HTML of it, by templates of our own: a project's template settings may know nothing of them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from django.template import Context, Engine

from celery_health.page.blocks import Page
from celery_health.page.files import version
from celery_health.page.frame import Frame
from celery_health.page.links import Links
from celery_health.page.shapes import pattern_defs
from celery_health.text.printable import printable

_FOLDER: Final = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def _engine() -> Engine:
    return Engine(dirs=[str(_FOLDER)], builtins=["celery_health.page.filters"], autoescape=True)


def render(template: str, **context: Any) -> str:
    """Return what a template of ours makes of `context`; every text in it is escaped."""
    return _engine().get_template(template).render(Context(context, use_l10n=False, use_tz=False))


def render_page(page: Page, frame: Frame, *, refresh_seconds: int, again: str) -> str:
    """Return a whole page; `again` is the query that asks for it, without ``part``."""
    return render(
        "page.html",
        page=page,
        frame=frame,
        refresh_seconds=refresh_seconds,
        again=again,
        pattern_defs=pattern_defs(),
        **_files(frame.links),
    )


def render_content(page: Page, frame: Frame) -> str:
    """Return what of a page changes."""
    return render("content.html", page=page, frame=frame)


def render_error(message: str, *, links: Links, again_seconds: int | None) -> str:
    """Return a page that says why there is none, and tries again where that may help."""
    return render(
        "error.html", message=printable(message), links=links, again_seconds=again_seconds, **_files(links)
    )


def _files(links: Links) -> dict[str, str]:
    return {
        "style": links.file(version(), "page.css"),
        "style_of_plots": links.file(version(), "plots.css"),
        "script": links.file(version(), "page.js"),
        "icons": links.file(version(), "icon-"),
        "without_script": links.file(version(), "without-script.css"),
    }
