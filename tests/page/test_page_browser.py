"""The status page in a real browser, before real workers: it keeps up to date, and says when it cannot."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support import RedisServer, WebServer, Worker, eventually

pytestmark = [pytest.mark.browser, pytest.mark.redis]

PAGE = "/api/celery/"
PUBLIC = {"PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"}}
HOSTILE = "<img src=x onerror=alert(1)>"
QUICK = {"LIMITS": {"worker_lost_seconds": 6, "restart_grace_seconds": 2}, "HEARTBEAT_INTERVAL": 1}
patiently = partial(eventually, timeout=40.0, interval=0.1)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1600"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(driver, env={**os.environ, "HOME": str(tmp_path_factory.mktemp("browser"))})
    chrome = webdriver.Chrome(options=options, service=service)
    chrome.set_page_load_timeout(60)
    yield chrome
    chrome.quit()


def text(browser: Any, selector: str) -> str:
    """Return what is seen of the first element that matches; empty without one."""
    # In one step: the page replaces its elements while it is looked at.
    script = """
        const found = document.querySelector(arguments[0]);
        return found !== null && found.checkVisibility() ? found.innerText : "";
    """
    return str(browser.execute_script(script, selector))


def keep_screenshot(browser: Any, name: str) -> None:
    """Keep a picture of the whole page where CELERY_TEST_SCREENSHOTS says, for people to look at."""
    folder = os.environ.get("CELERY_TEST_SCREENSHOTS")
    if folder:
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.mark.smoke
@pytest.mark.slow
def test_page__follows_what_happens(
    browser: Any,
    redis_url: str,
    redis_client: redis.Redis,
    worker_factory: Callable[..., Worker],
    web_server: Callable[..., WebServer],
) -> None:
    worker = worker_factory(redis_url, name="w1@host", health=QUICK)
    web = web_server(
        redis_url, health={**QUICK, **PUBLIC, "EXPECTED_QUEUES": ["<img src=x onerror=alert(1)>"]}
    )
    browser.get(f"http://127.0.0.1:{web.port}{PAGE}")

    patiently(lambda: "w1@host" in text(browser, "#workers"))
    # Its script ran, under the policy that allows it alone: it asked the doctor.
    patiently(lambda: "Looked at" in text(browser, "#findings-now"))
    assert HOSTILE in text(browser, "#queues")
    keep_screenshot(browser, "with-a-worker")

    worker.kill()
    patiently(lambda: "unhealthy" in text(browser, ".verdict h1"))
    assert browser.title.startswith("unhealthy")
    assert "No active Celery workers found" in text(browser, ".verdict .reason")
    assert not text(browser, "#stale")
    keep_screenshot(browser, "without-workers")

    web.kill()
    # What it showed last may be wrong by now, and it says so.
    patiently(lambda: "may be wrong" in text(browser, "#stale"))
    patiently(lambda: browser.title.startswith("not known"))
    keep_screenshot(browser, "without-a-server")
    refused = ("Failed to load resource", "favicon")
    log = [
        entry for entry in browser.get_log("browser") if not any(each in entry["message"] for each in refused)
    ]
    assert not log


def test_page__one_cause_is_one_row(
    browser: Any, own_redis: Callable[..., RedisServer], web_server: Callable[..., WebServer]
) -> None:
    server = own_redis()
    web = web_server(server.url, health=PUBLIC)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        browser.get(f"http://127.0.0.1:{web.port}{PAGE}")
        patiently(lambda: "cannot be reached" in text(browser, ".verdict .reason"))
        statuses = browser.execute_script(
            "return [...document.querySelectorAll('#problems > li')]"
            ".map((each) => [each.querySelector('.status').innerText, each.querySelector('.meta').innerText])"
        )
        height = browser.execute_script("return document.documentElement.scrollHeight")
        browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        folded = text(browser, "#problems")
        keep_screenshot(browser, "one-cause")
    finally:
        os.kill(server.pid, signal.SIGCONT)

    # The store is that Redis: it is no second cause, and nothing else speaks for itself.
    faults = [ids.partition(" · ")[0] for status, ids in statuses if status in ("fail", "warn")]
    assert faults == ["broker.reachable"]
    assert height < 1500
    assert "workers.alive" in folded
    assert "Not known because of broker.reachable: " in folded


def test_page__can_be_paused(browser: Any, redis_url: str, web_server: Callable[..., WebServer]) -> None:
    from selenium.webdriver.common.by import By

    web = web_server(redis_url, health=PUBLIC)
    browser.get(f"http://127.0.0.1:{web.port}{PAGE}")
    button = browser.find_element(By.ID, "pause")  # which moves, while the findings come in

    browser.execute_script("arguments[0].click()", button)
    assert button.get_attribute("aria-pressed") == "true"
    patiently(lambda: text(browser, "#stale").startswith("Paused: not updated"))
    browser.execute_script("arguments[0].click()", button)
    patiently(lambda: not text(browser, "#stale"))
