"""Follow what the doctor prints, as somebody would who only pastes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.hosts.application import Mend

_QUOTED = re.compile(r"(?<!\w)'([^']+)'")  # no "entry's"
_ASSIGNED = re.compile(r"(CELERY_\w+(?:\[[^\]]+\])? \|?= .+?)(?=\.?$|, [a-z]|; |\. [A-Z])")
_COMMAND = re.compile(r"celery -A \S+ worker(?: -Q \S+?)?(?=$|[,;.]? |[,;.]$)")


def command_in(fix: str) -> str | None:
    """Return the first command that starts a worker, as it is printed."""
    found = _COMMAND.search(fix)
    return found.group(0) if found else None


def write_right_name(fix: str, settings: str, wrong: str) -> str:
    """Write the first name that the fix quotes, instead of the wrong one."""
    right = _QUOTED.search(fix)
    assert right is not None, f"No name in the fix: {fix}"
    return settings.replace(f'"{wrong}"', f'"{right.group(1)}"')


def paste(fix: str, settings: str) -> str:
    """Paste the lines of the first way that the fix names at the end of the settings."""
    lines = _ASSIGNED.findall(fix.partition(", or")[0])
    assert lines, f"No line of settings in the fix: {fix}"
    return "\n".join((settings.rstrip("\n"), *lines, ""))


def rename(fix: str, settings: str, wrong: str) -> str:
    """Rename a setting as the fix says."""
    right = re.search(r"CELERY_[A-Z_]+", fix)
    assert right is not None, f"No name of a setting in the fix: {fix}"
    return re.sub(rf"^{wrong}\b", right.group(0), settings, flags=re.MULTILINE)


def follow(finding: Mapping[str, Any], settings: str, own: Mend | None) -> str:
    """Return the settings as the fix of the finding wants them; `own` is the fault's way, if it has one.

    The way of a fix that names a command is that command: see `command_in`.
    """
    number, fix, evidence = int(finding["code"][1:]), finding["fix"], finding["evidence"]
    name = finding["subject"]["name"]
    if own is not None:
        return own(fix, settings)
    if number == 116:
        return rename(fix, settings, name)
    if number in (101, 102, 104, 105, 123, 314):
        raised = _QUOTED.search(evidence.get("error", ""))
        wrong = {101: evidence.get("task"), 105: raised and raised.group(1), 123: evidence.get("option")}
        return write_right_name(fix, settings, wrong.get(number) or name)
    return paste(fix, settings)
