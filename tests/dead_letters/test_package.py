"""`from celery_health import dead_letters`: what it offers, and that a worker need not pay for it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from celery_health import dead_letters
from tests.support import ROOT


def test_package__offers_what_it_says() -> None:
    for name in dead_letters.__all__:
        assert getattr(dead_letters, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'entires'"):
        dead_letters.entires  # noqa: B018


def test_package__capturing_loads_nothing_of_the_reading_side() -> None:
    code = (
        "import sys, celery_health.dead_letters.capture; "
        "print([n for n in sys.modules if n.startswith(('celery_health.dead_letters.letters', "
        "'celery_health.reading.reader', 'rest_framework', 'django.db'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout.strip() == "[]"


def test_docs__name_every_cause_and_every_function() -> None:
    http = (ROOT / "docs/reference/http.md").read_text()
    (row,) = re.findall(r"^\| `letters\[\]\.cause` \|(.*)\|$", http, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == {cause.value for cause in dead_letters.Cause}
    how_to = (ROOT / "docs/how-to/dead-letters.md").read_text()
    for name in ("sizes", "entries", "requeue", "purge", "set_aside", "RequeueInterruptedError"):
        assert f"dead_letters.{name}" in how_to
