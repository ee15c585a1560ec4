"""The page that says what is kept says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields

from celery_health.conf.schema import DeadLetterSettings
from celery_health.dead_letters.envelope import HEADER, MAX_MESSAGE, MAX_TRACEBACK
from celery_health.dead_letters.records import Cause, Reason
from celery_health.worker.letters.heap import BATCH_LETTERS, MAX_WAITING, MAX_WAITING_BYTES
from celery_health.worker.letters.writer import _WHY, MAX_BACKOFF_SECONDS, MAX_FINISH_SECONDS
from tests.support.processes import ROOT

PAGE = (ROOT / "docs/reference/dead-letters.md").read_text()
TEXT = " ".join(PAGE.split())


def table(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_docs__every_cause_is_in_the_table() -> None:
    named = {row[2].strip("`") for row in table("What is kept") if row[2]}
    assert named == {cause.value for cause in Cause} - {Cause.UNKNOWN.value}
    assert all((row[1].startswith("no")) == (not row[2]) for row in table("What is kept"))


def test_docs__every_field_of_the_header_is_in_the_table() -> None:
    named = {name for row in table("The letter") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == {field.name for field in fields(Reason)} | {"v"}
    assert f"**`{HEADER}`**" in PAGE


def test_docs__every_loss_is_in_the_table() -> None:
    named = {row[2].strip("`") for row in table("How it is written, and what can be lost") if row[2]}
    assert named == set(_WHY)


def test_docs__the_numbers_are_those_of_the_code() -> None:
    for number, around in [
        (MAX_MESSAGE, "Class name and text; {:,} characters"),
        (MAX_TRACEBACK, "Its last {:,} characters"),
        (BATCH_LETTERS, "up to {:,} letters under way"),
        (MAX_WAITING, "{:,} letters or"),
        (MAX_WAITING_BYTES // 2**20, "or {:,} MiB wait"),
        (int(MAX_BACKOFF_SECONDS), "within {:,} seconds of its return"),
        (int(MAX_FINISH_SECONDS), "the thread has {:,} seconds"),
        (DeadLetterSettings().max_length, "`max_length` ({:,})"),
        (DeadLetterSettings().max_redeliveries, "`max_redeliveries` runs ({:,})"),
    ]:
        assert around.format(number) in TEXT
