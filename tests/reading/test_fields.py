"""What is read of a record can be computed with and written: whatever stands there."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from celery_health.reading import fields

NAN, INFINITE, HUGE = float("nan"), float("inf"), 10**400


@pytest.mark.parametrize("value", [NAN, INFINITE, -INFINITE, HUGE, -HUGE, True, "5", None, [], {}])
def test_numbers__are_finite_numbers_or_unknown(value: object) -> None:
    assert fields.number(value) is None
    assert fields.of_type(int, value) is None
    assert fields.of_type(float, value) is None
    assert fields.plus(value, 1.0) is None
    assert fields.counts({"a": value, "b": 1}) == {"b": 1}
    assert isinstance(fields.moment(value), datetime | None)


def test_ages__are_not_negative() -> None:
    assert fields.plus(-0.5, 1.0) is None
    assert fields.plus(0, 1.0) == 1.0


def test_texts__can_be_written_anywhere_and_have_an_end() -> None:
    odd = "a\ud800b" * 10_000
    found = [
        fields.of_type(str, odd),
        fields.name(odd),
        *(fields.names([odd, 5, None]) or ()),
        *fields.texts({odd: odd, "n": 5}).items(),
        *fields.counts({odd: 1}),
    ]
    text = json.dumps(found, ensure_ascii=False)
    text.encode()
    assert len(text) < fields.MAX_TEXT_LENGTH + 6 * fields.MAX_NAME_LENGTH
    assert fields.name("größe ☃") == "größe ☃"
    assert [fields.name(value) for value in (7, None, [], HUGE, NAN)] == ["7", "", "", "", ""]
