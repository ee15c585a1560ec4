"""docs/reference/command.md says what the command does."""

from __future__ import annotations

import re

from django.core.management.base import CommandParser
from django.core.management.color import no_style

from celery_health.management.commands import celery_health as command
from celery_health.management.rendering import render
from celery_health.management.subcommands import SUBCOMMANDS, verdict
from celery_health.records import HealthReport
from tests.management.reports import AWAY, HEALTHY, UNHEALTHY
from tests.support import ROOT

PAGE = (ROOT / "docs" / "reference" / "command.md").read_text()


def shown(report: HealthReport, *, verbose: bool = False) -> str:
    return "\n".join(render(report, no_style(), verbose=verbose)) + "\n"


def first_cells(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_docs__transcripts_are_what_it_prints() -> None:
    transcripts = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert transcripts == [shown(UNHEALTHY), shown(HEALTHY), shown(AWAY), shown(HEALTHY, verbose=True)]


def test_docs__options_equal_the_code() -> None:
    parser = CommandParser(add_help=False)
    verdict.add_arguments(parser)
    assert first_cells("Options") == [action.option_strings[0] for action in parser._actions]


def test_docs__statuses_equal_the_code() -> None:
    known = [verdict.OK, verdict.BAD, command.MISUSE, command.INTERRUPTED]
    assert first_cells("Exit status") == [str(status) for status in known]


def test_docs__name_every_subcommand() -> None:
    assert [name for name in SUBCOMMANDS if f"celery_health {name}" not in PAGE] == []
