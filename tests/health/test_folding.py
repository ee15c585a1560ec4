"""What people read of what checks say: each cause once."""

from __future__ import annotations

import pytest

from celery_health.health.folding import folded, unfolded
from celery_health.records import CheckResult, CheckStatus

Folded = list[tuple[str, str, list[tuple[str, str]]]]
"""Status and ids of each row, and why and ids of what it explains."""


def check(id: str, status: str, because: str | None = None, message: str = "", **changes: str) -> CheckResult:
    status_ = CheckStatus(status)
    return CheckResult(id=id, status=status_, message=message or f"{id} {status}", because=because, **changes)


def read(*checks: CheckResult) -> Folded:
    return [
        (row.status.value, " ".join(row.ids), [(one.why, " ".join(one.ids)) for one in row.consequences])
        for row in folded(checks)
    ]


BROKER = check("broker.reachable", "fail")

TABLE: list[tuple[str, list[CheckResult], Folded]] = [
    (
        "one cause, one row",
        [BROKER, check("workers.alive", "unknown", BROKER.id), check("queues.depth", "unknown", BROKER.id)],
        [
            (
                "fail",
                "broker.reachable",
                [("Not known because of broker.reachable", "workers.alive queues.depth")],
            )
        ],
    ),
    (
        "a cause of a cause: the first one says it",
        [
            BROKER,
            check("workers.alive", "unknown", BROKER.id),
            check("workers.pool", "unknown", "workers.alive"),
        ],
        [
            (
                "fail",
                "broker.reachable",
                [("Not known because of broker.reachable", "workers.alive workers.pool")],
            )
        ],
    ),
    (
        "many subjects of one check are named once",
        [BROKER, *(check("queues.depth", "unknown", BROKER.id, subject=name) for name in "abc")],
        [("fail", "broker.reachable", [("Not known because of broker.reachable", "queues.depth")])],
    ),
    (
        "a fault is never folded away",
        [BROKER, check("workers.alive", "fail", BROKER.id), check("queues.age", "warn", BROKER.id)],
        [("fail", "broker.reachable", []), ("fail", "workers.alive", []), ("warn", "queues.age", [])],
    ),
    (
        "never and now are told apart",
        [check("s", "unsupported"), check("a", "unsupported", "s"), check("b", "unknown", "s")],
        [("unsupported", "s", [("Not known because of s", "b"), ("Not watched because of s", "a")])],
    ),
    (
        "the worst of a cause's results explains",
        [
            check("w", "warn", subject="one"),
            check("w", "fail", message="none is there"),
            check("p", "unknown", "w"),
        ],
        [("fail", "w", [("Not known because of w", "p")]), ("warn", "w", [])],
    ),
    # Then it has to speak for itself: its reason would be said nowhere.
    (
        "a cause that passes",
        [check("w", "pass"), check("p", "unknown", "w")],
        [("unknown", "p", []), ("pass", "w", [])],
    ),
    (
        "a cause that is not looked at",
        [check("w", "off"), check("p", "unknown", "w")],
        [("unknown", "p", []), ("off", "w", [])],
    ),
    ("a cause that is not there", [check("p", "unknown", "nothing")], [("unknown", "p", [])]),
    (
        "off because of what is off",
        [check("w", "off"), check("p", "off", "w")],
        [("off", "w", [("Off because of w", "p")])],
    ),
    ("itself", [check("p", "unknown", "p")], [("unknown", "p", [])]),
    (
        "each other: neither is lost",
        [check("a", "unknown", "b"), check("b", "unknown", "a")],
        [("unknown", "a", []), ("unknown", "b", [])],
    ),
    (
        "the same words are one row",
        [check(id, "unsupported", message="Tasks run in place.") for id in "ab"],
        [("unsupported", "a b", [])],
    ),
    (
        "the worst first, and what was off last of what did not pass",
        [check(status, status) for status in ("pass", "off", "unsupported", "unknown", "warn", "fail")],
        [(status, status, []) for status in ("fail", "warn", "unknown", "unsupported", "off", "pass")],
    ),
    ("nothing", [], []),
]


@pytest.mark.parametrize(("checks", "rows"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_folded__table(checks: list[CheckResult], rows: Folded) -> None:
    assert read(*checks) == rows


@pytest.mark.parametrize("checks", [row[1] for row in TABLE], ids=[row[0] for row in TABLE])
def test_folded__names_every_check(checks: list[CheckResult]) -> None:
    rows = folded(checks)

    named = {id for row in rows for id in (*row.ids, *(id for one in row.consequences for id in one.ids))}
    assert named == {check.id for check in checks}


def test_unfolded__hides_nothing() -> None:
    rows = unfolded([check("w", "unknown", BROKER.id), BROKER])

    assert [(row.ids, row.consequences) for row in rows] == [(("broker.reachable",), ()), (("w",), ())]
