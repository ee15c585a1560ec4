"""Colours can be read: WCAG's contrast of each text and plot on what it stands, in light and dark."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from celery_health import page

CSS = Path(page.__file__).parent.joinpath("files", "page.css").read_text("utf-8")
#: What stands on what: texts need 4.5 to 1, and what is no text 3 to 1 (WCAG 2.2: 1.4.3, 1.4.11).
GROUNDS = ("ground", "raised")
TEXTS = [
    *product(("text", "quiet", "accent", "good", "warn", "bad"), GROUNDS),
    *((text, f"{verdict}-ground") for verdict in ("good", "warn", "bad") for text in ("text", verdict)),
    # The bar that says that the page is not updated is the other way about.
    ("ground", "warn"),
]
PLOTS = list(product(("ok", "bad", "retry", "lost", "idle", "unknown"), GROUNDS))


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{3,6})\b", block))


def themes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root\s*\{([^}]*)\}", CSS)[:2]
    return {"light": variables(light), "dark": {**variables(light), **variables(dark)}}


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast__is_enough(theme: str) -> None:
    colours = themes()[theme]

    weak = [
        f"--{above} on --{below}: {found:.2f}, of {least}"
        for pairs, least in ((TEXTS, 4.5), (PLOTS, 3.0))
        for above, below in pairs
        if (found := contrast(colours[above], colours[below])) < least
    ]

    assert weak == []


def test_contrast__dark_has_every_colour_of_its_own() -> None:
    light, dark = re.findall(r":root\s*\{([^}]*)\}", CSS)[:2]

    assert variables(light).keys() == variables(dark).keys()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("#000", "#ffffff", 21.0), ("#777777", "#fff", 4.48), ("#fff", "#fff", 1.0)],
)
def test_contrast__is_wcags(one: str, other: str, expected: float) -> None:
    assert contrast(one, other) == pytest.approx(expected, abs=0.01)


def test_colours__stand_in_variables_alone() -> None:
    rules = re.sub(r":root\s*\{[^}]*\}", "", CSS)
    plots = Path(page.__file__).parent.joinpath("files", "plots.css").read_text("utf-8")

    assert re.findall(r"#[0-9a-f]{3,8}\b(?=[;\s}])|rgba?\(|hsla?\(", rules + plots) == []
