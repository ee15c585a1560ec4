"""The words that people read: plain ones, and one for one thing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Odd, old, or a second word for what has one: *fix*, *last seen*, *action*, *all*.
FORBIDDEN = (
    "mend", "mends", "mended", "deaf", "deed", "deeds", "heard", "goes by", "go by", "going by", "all of it",
    "by the letters of",
)  # fmt: skip
#: "poison" is a value of the API, and of a message the field's own term.
PATTERN = re.compile(
    rf"\b(?:{'|'.join(word.replace(' ', chr(92) + 's+') for word in FORBIDDEN)})\b", re.IGNORECASE
)


def found_in(text: str) -> list[str]:
    """Return the lines with such a word, numbered."""
    lines = text.splitlines()
    numbers = [text.count("\n", 0, found.start()) for found in PATTERN.finditer(text)]
    return [f"{number + 1}: {lines[number].strip()[:150]}" for number in numbers]


@pytest.mark.parametrize("suffix", [".py", ".html", ".js", ".json", ".yaml", ".yml", ".md"])
def test_words__are_plain(suffix: str) -> None:
    texts = [
        path
        for folder in ("celery_health", "docs", "example_project")
        for path in (ROOT / folder).rglob(f"*{suffix}")
    ]
    if suffix == ".md":
        texts += ROOT.glob("*.md")

    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(texts)
        for line in found_in(path.read_text("utf-8"))
    ]

    assert found == []


def test_words__are_found_as_words_only() -> None:
    assert found_in("amended, recommend, indeed, unheard of") == []
    assert found_in("a\nHeard; all\nof it") == ["2: Heard; all", "2: Heard; all"]
