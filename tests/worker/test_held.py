"""What a worker holds, as its record tells it: names and ids that a sender chose are made readable."""

from __future__ import annotations

import json

import pytest

from celery_health.worker.held import MAX_NAME, sane

NAMES = [
    ("4711", "4711"),
    ("Aufgäbe-任务", "Aufgäbe-任务"),
    # Half a pair of UTF-16: JSON can carry it, and no reader can encode it again.
    ("a\ud800b", "a?b"),
    # A megabyte of id.
    ("x" * 1_000_000, "x" * (MAX_NAME - 3) + "..."),
    ("x" * MAX_NAME, "x" * MAX_NAME),
    # Not a text at all.
    (None, "None"),
    (7, "7"),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_sane__table(name: object, expected: str) -> None:
    assert sane(name) == expected
    assert json.loads(json.dumps(sane(name), ensure_ascii=False).encode()) == expected
