"""Other people's policies in a real browser: the page updates under them, and nothing of it is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from django.core.handlers.wsgi import WSGIHandler

from celery_health.testing import make_queue, make_snapshot
from tests.api.conftest import FOUND, PREFIX, Celery
from tests.page.middlewares import ReplacingPolicy
from tests.page.test_middlewares import HERE, PLAIN
from tests.page.test_page_browser import browser, patiently, text

__all__ = ["browser"]

pytestmark = pytest.mark.browser


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def serve(settings: Any) -> Iterator[Callable[[str], str]]:
    """Start a web server in this process, over what stands in for Celery: ``serve("MergingPolicy")``."""
    servers: list[_Server] = []

    def start(middleware: str) -> str:
        # Read once, when the application is made.
        settings.MIDDLEWARE = [f"{HERE}.{middleware}", *PLAIN]
        settings.CELERY_HEALTH = {"PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"}}
        servers.append(_Server(("127.0.0.1", 0), _Quiet))
        servers[-1].set_app(WSGIHandler())
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}{PREFIX}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("middleware", ["MergingPolicy", "ReplacingPolicy", "TrustedTypes", "HeadersOfProxy"])
def test_page__updates_under_the_policy_of_others(
    browser: Any, celery: Celery, serve: Callable[[str], str], middleware: str
) -> None:
    celery.snapshot = make_snapshot(queues=[make_queue("before")])
    browser.get_log("browser")
    browser.get(serve(middleware))
    patiently(lambda: "before" in text(browser, "#queues"))
    patiently(lambda: FOUND.findings[0].code in text(browser, "#findings-now"))
    styled = browser.execute_script("return getComputedStyle(document.body).fontFamily")
    celery.snapshot = make_snapshot(queues=[make_queue("after")], taken_at=FOUND.as_of)

    patiently(lambda: "after" in text(browser, "#queues"))

    assert text(browser, "#live").startswith("live")
    assert not browser.title.startswith("not")
    assert "sans-serif" in styled
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_page__says_so_where_no_script_may_run(
    browser: Any, celery: Celery, serve: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ReplacingPolicy.policy
    monkeypatch.setattr(ReplacingPolicy, "policy", policy.replace("script-src 'self'", "script-src 'none'"))

    browser.get(serve("ReplacingPolicy"))

    patiently(lambda: "does not keep itself up to date" in text(browser, "#stale"))
    assert browser.title.startswith("not updated")
