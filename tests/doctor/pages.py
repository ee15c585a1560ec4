"""``python -m tests.doctor.pages``: write the doctor's pages from the rules, with what each says of a case.

The words are those of the rules' modules, the examples those of `tests.cases`: neither can go stale.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path
from typing import Final

import pytest

from celery_health.doctor.findings import Finding, Scope
from celery_health.doctor.rules import RULES, Rule
from celery_health.doctor.rules.base import PAGES
from tests.cases.support import BROKEN, a_project

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "doctor"
HEADS: Final = {
    1: """# Lost work

Work that is lost, or never done, mostly without a word. Seen in code and settings alone it is a warning
(`W1..`); proven by the running system it is an error (`E1..`).""",
    2: """# Will bite

Nothing is lost yet, and what is configured, or seen, shows that something will be. A warning (`W2..`).""",
    3: """# Hints

What may be meant, and often is not. A hint (`I3..`): no system check, and never an alarm.""",
}


def pages() -> dict[str, str]:
    """Return the text of every page by its file's name."""
    examples = _examples()
    return {f"{name}.md": _page(hundred, examples) for hundred, name in PAGES.items()}


def _page(hundred: int, examples: dict[str, Finding]) -> str:
    rules = [rule for rule in RULES if rule.number // 100 == hundred]
    rows = [f"| {_codes(rule)} | [{rule.name}](#{rule.name}) | {_code(rule.summary)} |" for rule in rules]
    table = "\n".join(["| code | rule | what it finds |", "| --- | --- | --- |", *rows])
    return "\n\n".join([HEADS[hundred], table, *(_rule(rule, examples) for rule in rules)]) + "\n"


def _rule(rule: Rule, examples: dict[str, Finding]) -> str:
    text = getdoc(sys.modules[type(rule).__module__]) or ""
    parts = [f"## {rule.name}", f"{_codes(rule)}: {_where(rule)}.", _code(text)]
    for code in rule.codes():
        found = examples[code]
        parts.append(f"```text\n{code}  {found.message}\n      Fix: {found.fix}\n```")
    return "\n\n".join(parts)


def _codes(rule: Rule) -> str:
    return ", ".join(f"`{code}`" for code in rule.codes())


def _where(rule: Rule) -> str:
    where = "found live alone" if rule.scopes == {Scope.LIVE} else "found in code and settings"
    if rule.scopes == {Scope.STATIC, Scope.LIVE}:
        where += ", and live"
    return where + ("; as a system check under `--deploy` alone" if rule.only_deployed else "")


def _code(text: str) -> str:
    """Return the text as Markdown: reStructuredText marks code by two backticks."""
    return re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL).replace("<", "&lt;")


def _examples() -> dict[str, Finding]:
    """Return code → its finding in the first case that shows it."""
    found: dict[str, Finding] = {}
    for finding in _findings():
        found.setdefault(finding.code, finding)
    return found


def _findings() -> Iterator[Finding]:
    # In the order of their modules, whichever of them a test has imported first.
    for case in sorted(BROKEN, key=lambda case: case.build.__module__):
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            with warnings.catch_warnings(), a_project(Path(folder), patch) as project:
                warnings.simplefilter("ignore")
                try:
                    case.build(project)
                except pytest.skip.Exception:
                    continue  # what it is made with is not installed here
                report = project.report()
            yield from report.findings


def main() -> None:
    """Write the pages."""
    import django

    sys.path.append(str(FOLDER.parents[1] / "example_project"))  # as pytest does
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
    django.setup()
    from tests.cases import test_cases  # noqa: F401 - it fills the lists

    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
