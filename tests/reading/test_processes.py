"""Which processes of one name are shown, and which live at once: a row is a history, its comment says why."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.reading.processes import shown
from celery_health.store import StoredRecord

LOST = 30.0


def record(writer: str, first: float | None, previous: float | None, age: float, **says: Any) -> StoredRecord:
    """Return the record of a process that came `first` seconds ago, and told the last time `age` ago."""
    return StoredRecord(
        name="w@shop",
        record=says,
        age_seconds=age,
        writer=writer,
        first_age_seconds=first,
        previous_age_seconds=previous,
    )


CASES = [
    # One alone.
    ([record("a", 60, 6, 1)], [("a", False)]),
    # Killed and started at once: the first never told again after the second came.
    ([record("a", 60, 25, 20), record("b", 19, 6, 1)], [("b", False)]),
    # The same, seen when the second has told once.
    ([record("a", 60, 6, 1.5), record("b", 1, None, 1)], [("b", False)]),
    # The same within one heartbeat: what the first said last was said before.
    ([record("a", 3, None, 3), record("b", 1, None, 1)], [("b", False)]),
    # Crashed in a loop: only the last start counts.
    ([record("a", 9, None, 9), record("b", 6, 5, 5), record("c", 1, None, 1)], [("c", False)]),
    # The first has told once since the second came: it may be its last word.
    ([record("a", 60, 12, 7), record("b", 8, 6, 1)], [("a", False), ("b", False)]),
    # The second has told but once.
    ([record("a", 60, 6, 1), record("b", 8, None, 8)], [("a", False), ("b", False)]),
    # Each has told twice since the second came.
    ([record("a", 60, 6, 1), record("b", 8, 7, 2)], [("a", True), ("b", True)]),
    # The order in which they are read is no matter.
    ([record("b", 8, 7, 2), record("a", 60, 6, 1)], [("a", True), ("b", True)]),
    # Three of one name.
    (
        [record("a", 60, 6, 1), record("b", 50, 7, 2), record("c", 40, 5, 0)],
        [("a", True), ("b", True), ("c", True)],
    ),
    # The first drains while the second works, as in a rolling deploy.
    ([record("a", 60, 6, 1, draining=True), record("b", 8, 7, 2)], [("a", False), ("b", False)]),
    # It says goodbye, and hides nobody.
    ([record("a", 60, 6, 1, goodbye=True), record("b", 8, 7, 2)], [("b", False)]),
    # The second goes instead.
    ([record("a", 60, 6, 1), record("b", 8, 7, 2, goodbye=True)], [("a", False)]),
    # Both are gone in peace: one of them stands for the name.
    ([record("a", 60, 6, 2, goodbye=True), record("b", 8, 7, 1, goodbye=True)], [("b", False)]),
    # A goodbye, and long after that a new start.
    ([record("a", 900, 700, 600, goodbye=True), record("b", 8, 7, 2)], [("b", False)]),
    # Killed, started again, and stopped in peace at once.
    ([record("a", 60, 10, 5), record("b", 3, 2, 1, goodbye=True)], [("b", False)]),
    # A goodbye alone.
    ([record("a", 900, 700, 600, goodbye=True)], [("a", False)]),
    # They lived side by side until one was killed: it did not come back.
    ([record("a", 600, 105, 100), record("b", 400, 6, 1)], [("a", False), ("b", False)]),
    # And was started again.
    ([record("a", 600, 105, 100), record("b", 400, 6, 1), record("c", 90, 6, 1)], [("b", True), ("c", True)]),
    # Both died.
    ([record("a", 600, 105, 100), record("b", 400, 106, 99)], [("a", False), ("b", False)]),
    # The first is of an earlier version, which keeps no times: an upgrade by restart.
    ([record("a", None, None, 20), record("b", 19, 6, 1)], [("b", False)]),
    # It still lives: whether for long is not known.
    ([record("a", None, None, 1), record("b", 19, 6, 2)], [("a", False), ("b", False)]),
    # A downgrade by restart: the newer died, the earlier version lives.
    ([record("a", None, None, 1), record("b", 600, 106, 100)], [("a", False)]),
]


@pytest.mark.parametrize(("records", "expected"), CASES)
def test_shown__of_one_name(records: list[StoredRecord], expected: list[tuple[str, bool]]) -> None:
    assert [(one.stored.writer, one.is_doubled) for one in shown(records, LOST)] == expected


def test_shown__names_do_not_mix() -> None:
    records = [
        StoredRecord(name=name, record={}, age_seconds=1, writer=name, first_age_seconds=first)
        for name, first in (("b", 60), ("a", 1))
    ]
    assert [one.stored.name for one in shown(records, LOST)] == ["a", "b"]
