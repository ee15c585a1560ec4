"""The page about workers says what the code does."""

from __future__ import annotations

import re
from collections.abc import Callable

from celery_health.reporting import admission, totals
from celery_health.reporting.agent import JITTER
from celery_health.worker.held import MAX_TASKS
from tests.support import ROOT, Worker
from tests.worker.conftest import Ledger, patiently
from tests.worker.ends import ENDS, SPECIAL

PAGE = (ROOT / "docs/reference/worker.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def names_in(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def test_docs__list_every_field_of_a_record(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker()
    record = patiently(lambda: ledger.record(worker.hostname))
    fields, _, lists = section("The record").partition("\n### ")
    rows = re.findall(r"^\| (`.*?) \| ", fields, re.MULTILINE)
    assert set().union(*map(names_in, rows)) == set(record)
    [named] = re.findall(r"^\| (`.*?) \| ", lists, re.MULTILINE)
    assert {name for name in ledger.rows(worker.hostname) if "count" not in name} == names_in(named)
    worker.stop()


def test_docs__name_every_outcome() -> None:
    documented = set().union(*map(names_in, re.findall(r"\| (`.*) \|$", section("What is counted"), re.M)))
    ends = [*ENDS.values(), *SPECIAL.values()]
    # Classes of the tests' own tasks stand for any.
    classes = {end[1] for end in ends if len(end) > 1} - {"Boom", "Unpicklable"}
    assert documented >= {end[0] for end in ends} | classes | {"unknown"}


def test_docs__state_the_bounds() -> None:
    assert f"at most {MAX_TASKS} each" in PAGE
    assert f"{JITTER:.0%}".replace("%", " %") in PAGE
    bounds = [
        f"{admission.MAX_NAMES} task names", f"{admission.MAX_QUEUES} queues",
        f"{admission.MAX_EXCEPTIONS} exception classes", f"{totals.MAX_SERIES:,} pairs",
    ]  # fmt: skip
    assert all(bound in " ".join(PAGE.split()) for bound in bounds)
    assert f"at most {admission.MAX_UNKNOWN} of them" in PAGE
