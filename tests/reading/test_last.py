"""An answer that is kept holds for an equal question alone."""

from __future__ import annotations

from celery_health.reading.last import Last


def test_last__answers_anew_once_the_question_differs() -> None:
    ordered: Last[list[str], list[str]] = Last(sorted)
    first = ordered(["b", "a"])
    assert first == ["a", "b"]
    assert ordered(["b", "a"]) is first
    assert ordered(["c", "a"]) == ["a", "c"]
    assert ordered(["b", "a"]) == first
