"""Every recommendation that a test of a rule meets is one in which people find the command."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.health.base import Check
from celery_health.records import CheckResult
from tests.text.splitting import commands_in


@pytest.fixture(autouse=True)
def _commands_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Check.result

    def result(self: Check, *args: Any, **fields: Any) -> CheckResult:
        found = made(self, *args, **fields)
        commands_in(found.recommendation or "")
        return found

    monkeypatch.setattr(Check, "result", result)
