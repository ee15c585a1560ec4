"""The page is one of the views: what their tests put in the place of Celery and of users serves here, too.

For what a browser shows there is the example project with all its parts: see `tests.page.shop`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.api.conftest import _fresh_log, broken_database, celery, client_of, staff
from tests.conftest import skip_loudly
from tests.dead_letters.conftest import current_app, other_look, post, recorded
from tests.page.axe import axe_violations, find_axe
from tests.page.browser import find_browser, look_with, open_browser, run_scripts

__all__ = [
    "_fresh_log",
    "broken_database",
    "celery",
    "client_of",
    "current_app",
    "other_look",
    "post",
    "recorded",
    "staff",
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium for the tests of a module."""
    if find_browser() is None:
        skip_loudly("chromium and chromedriver are not installed.")
    opened = open_browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.quit()


@pytest.fixture
def browser(chromium: Any) -> Any:
    """That Chromium, as it was when it was new."""
    chromium.delete_all_cookies()
    run_scripts(chromium, allowed=True)
    look_with(chromium)
    for log in ("browser", "performance"):
        chromium.get_log(log)
    return chromium


@pytest.fixture(scope="session")
def axe() -> Callable[[Any], list[str]]:
    """What axe-core objects to on the page that a browser shows: ``axe(browser)``."""
    program: Path | None = find_axe()
    if program is None:
        skip_loudly("axe-core is not installed (axe-selenium-python).")
    assert program is not None
    return lambda browser: axe_violations(browser, program)


@pytest.fixture
def superuser(client_of: Callable[[str], Client]) -> Client:
    """A superuser whose browser is checked as every browser is."""
    found = client_of("superuser")
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.cookies = found.cookies
    return client


@pytest.fixture
def consumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for a worker that consumes every queue, and would take what is sent there from the test."""
    for module in ("dead_letters.letters", "page.letter_actions", "page.letter"):
        monkeypatch.setattr(f"celery_health.{module}.why_unconsumed", lambda snapshot, queue: None)
