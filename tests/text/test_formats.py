"""Numbers, durations and tables."""

from __future__ import annotations

import pytest

from celery_health.text.formats import duration, listing, number, plural, table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
        (86400, "1 d"),
        (273600, "3 d 4 h"),
        (273660, "3 d 4 h"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "?"), (0, "0"), (1204, "1,204"), (1204.5, "1,204.5"), (0.5, "0.5")]
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks"), (1204, "1,204 tasks")]
)
def test_plural(count: int, text: str) -> None:
    assert plural(count, "task") == text


def test_listing() -> None:
    assert listing(["a", "b"], 2) == "a, b"
    assert listing(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert listing([], 2) == ""


def test_table__aligns_by_what_the_terminal_shows() -> None:
    assert table(("name", "n"), [("日本", "5"), ("emails", "1,204")], right=(1,)) == [
        "  name        n",
        "  日本        5",
        "  emails  1,204",
    ]


def test_table__no_blanks_at_the_end() -> None:
    assert table(("name", "queues"), [("a", ""), ("b", "x")]) == ["  name  queues", "  a", "  b     x"]
