"""Text that a terminal only shows."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from celery_health.text.printable import printable, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("emails", "emails"),
        ("größe 日本 שלום", "größe 日本 שלום"),  # letters of any script stay
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J\x85\x7f\x00", "\\x9b2J\\x85\\x7f\\x00"),  # C1 controls are escapes to some terminals
        ("\u202eabc\u2066\u200f", "\\u202eabc\\u2066\\u200f"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("no\xa0break", "no\\xa0break"),
        ("", ""),
        (None, "None"),
        (b"\x1b", "b'\\x1b'"),
        (ValueError("a\nb"), "a\\nb"),
    ],
)
def test_printable(text: object, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("\x1b\x1b\x1b", 6, "\\x1..."),  # escapes count as what they take
        ("abc", 2, "..."),
    ],
)
def test_printable__limit(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown


def test_printable__every_character_of_unicode_is_safe() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = set(printable(everything, limit=20 * len(everything)))
    unsafe = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert {character for character in shown if unicodedata.category(character) in unsafe} == set()
    assert len(shown) > 100_000


def test_printable__megabytes_are_cut_before_they_are_looked_at() -> None:
    assert len(printable("\x1b" * 50_000_000)) == 2000


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("größe", 5), ("\uff21", 2)]
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns
