"""The page under Content-Security-Policies of others: it works, or its title says that it does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import django
import pytest

from tests.page.browser import policy_violations, text
from tests.support import WebServer, Worker, eventually

pytestmark = [pytest.mark.browser, pytest.mark.redis, pytest.mark.live]

PAGE = "/api/celery/"
PUBLIC = {
    "PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"},
    "HEARTBEAT_INTERVAL": 1,
    "LIMITS": {"restart_grace_seconds": 1},
}
STRICT = "script-src 'self'; style-src 'self'"
patiently = partial(eventually, timeout=40.0, interval=0.1)


def settings(lines: str) -> str:
    """Return a settings module of the test project's, with these lines below."""
    return f"from tests.project.settings import *\n{lines}\n"


REPLACED = settings("MIDDLEWARE = ['tests.page.policies.ReplacePolicy', *MIDDLEWARE]\nPAGE_POLICY = {!r}")
# As Django's documentation has it, with nothing but 'self'.
DJANGOS = settings("""
from django.utils.csp import CSP
MIDDLEWARE = ["django.middleware.csp.ContentSecurityPolicyMiddleware", *MIDDLEWARE]
SECURE_CSP = {"default-src": [CSP.SELF], "frame-ancestors": [CSP.NONE], "base-uri": [CSP.NONE]}
""")


@pytest.fixture
def serve(tmp_path: Any, redis_url: str, web_server: Callable[..., WebServer]) -> Callable[[str], WebServer]:
    """Start the test project with a settings module of this source."""

    def start(source: str) -> WebServer:
        (tmp_path / "policy_settings.py").write_text(source)
        env = {"DJANGO_SETTINGS_MODULE": "policy_settings", "PYTHONPATH": str(tmp_path)}
        return web_server(redis_url, health=PUBLIC, env=env)

    return start


@pytest.mark.parametrize("whose", ["replaced", "djangos"])
def test_policy__of_self_alone_lets_the_page_work(
    browser: Any,
    serve: Callable[[str], WebServer],
    redis_url: str,
    worker_factory: Callable[..., Worker],
    whose: str,
) -> None:
    if whose == "djangos" and django.VERSION < (6,):
        pytest.skip("Django has such a middleware since 6.0.")
    worker = worker_factory(redis_url, name="w1@host", health=PUBLIC)
    web = serve(REPLACED.format(STRICT) if whose == "replaced" else DJANGOS)
    browser.get(web.url + PAGE)

    patiently(lambda: browser.title.startswith("healthy"))
    # Its style holds, and its script runs: a worker that goes is seen without a reload.
    assert browser.execute_script("return document.styleSheets.length") >= 1
    browser.execute_script("window.loaded = true")
    worker.stop()
    patiently(lambda: "unhealthy" in browser.title)
    assert browser.execute_script("return window.loaded") is True
    assert policy_violations(browser) == []


@pytest.mark.parametrize("policy", ["script-src 'none'", "script-src 'self'; connect-src 'none'"])
def test_policy__that_lets_nothing_be_updated_leaves_a_title_that_says_so(
    browser: Any, serve: Callable[[str], WebServer], policy: str
) -> None:
    web = serve(REPLACED.format(f"{policy}; style-src 'self'"))
    browser.get(web.url + PAGE)

    # Scripts are on, so that <noscript> says nothing here.
    patiently(lambda: browser.title.startswith(("not updated", "not known")))
    patiently(lambda: "not" in text(browser, "#stale"))
    assert policy_violations(browser) != []
