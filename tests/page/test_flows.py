"""What people do with the pages, each in the browser and on the example project with all its parts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from answers import get
from tests.page.browser import run_scripts, text
from tests.page.shop import PAGE, WORKERS, Shop
from tests.support import Worker, eventually

pytestmark = [
    pytest.mark.browser, pytest.mark.redis, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(240),
]  # fmt: skip

TASK = "orders.tasks.charge_card"
SEND = "main form [type=submit]"
patiently = partial(eventually, timeout=40.0, interval=0.1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose bank was broken for a while: its payments failed for good, and would succeed by now."""
    with Shop(tmp_path_factory.mktemp("shop")) as shop:
        for name in WORKERS:
            shop.start_worker(name)
        shop.manage("payments", "down")
        shop.run("from orders.tasks import charge_card\nfor order in range(12): charge_card.delay(order)")
        shop.start_web()
        patiently(lambda: len(letters(shop)) == 12, interval=0.5)
        shop.manage("payments", "up")
        yield shop


def letters(shop: Shop) -> list[str]:
    """Return the ids of the dead letters of payments, the oldest first."""
    listed = shop.manage("celery_health", "dead-letters", "list", "celery", "--json", "--limit", "100")
    return [letter["id"] for letter in json.loads(listed)["letters"]]


def wait_gone(shop: Shop, letter: str) -> None:
    """Wait until a letter is there no more, and did not come back."""
    patiently(lambda: letter not in letters(shop), interval=0.5)


def click(browser: Any, selector: str) -> None:
    """Click on the first element that matches, once it is there."""
    # In one step: the page may replace its elements meanwhile.
    script = """
        const found = document.querySelector(arguments[0]);
        if (found) found.click();
        return found !== null;
    """
    patiently(lambda: browser.execute_script(script, selector), what=f"{selector} on {browser.current_url}")


def test_flow__two_clicks_to_a_traceback_and_a_third_to_send_it_again(shop: Shop, browser: Any) -> None:
    newest = letters(shop)[-1]
    shop.open(browser)
    patiently(lambda: TASK in text(browser, "main"))

    click(browser, f"main a[href*='dead-letters/'][href*='task={TASK}']")
    click(browser, "main a[href*='dead-letters/'][href*='id=']")
    patiently(lambda: "Traceback" in text(browser, "main"))
    assert newest in browser.current_url
    assert "orders/payments.py" in text(browser, "main")
    click(browser, SEND)
    patiently(lambda: "1 letter" in text(browser, "main"))
    wait_gone(shop, newest)


def test_flow__the_keyboard_alone_sends_a_letter_again(shop: Shop, browser: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    newest = letters(shop)[-1]
    shop.open(browser)
    patiently(lambda: TASK in text(browser, "main"))

    def press(*keys: str) -> None:
        ActionChains(browser).send_keys(*keys).perform()

    def go_to(selector: str) -> None:
        """Press Tab until what stands there has the focus, and shows it."""
        for _ in range(150):
            press(Keys.TAB)
            if browser.execute_script("return document.activeElement.matches(arguments[0])", selector):
                outline = "return getComputedStyle(document.activeElement).outlineStyle"
                assert browser.execute_script(outline) != "none", selector
                return
        raise AssertionError(f"Tab does not come to {selector} on {browser.current_url}.")

    go_to("a.skip")
    press(Keys.ENTER)
    for selector in (
        f"main a[href*='dead-letters/'][href*='task={TASK}']",
        "main a[href*='dead-letters/'][href*='id=']",
        SEND,
    ):
        here = browser.current_url
        go_to(selector)
        press(Keys.ENTER)
        patiently(lambda here=here: browser.current_url != here)
    patiently(lambda: "1 letter" in text(browser, "main"))
    wait_gone(shop, newest)


def test_flow__without_javascript_it_is_complete(shop: Shop, browser: Any) -> None:
    newest = letters(shop)[-1]
    run_scripts(browser, allowed=False)
    shop.open(browser)

    # It reloads itself: a worker that stops is seen.
    shown = patiently(lambda: text(browser, "main .origin"))
    patiently(lambda: text(browser, "main .origin") not in ("", shown))
    assert not text(browser, "#stale")

    # Its forms are sent: one searches, one acts.
    from selenium.webdriver.common.by import By

    run_scripts(browser, allowed=False)
    browser.get(f"{shop.web.url}{PAGE}page/doctor/" if shop.web else "")
    browser.find_element(By.ID, "q").send_keys("reports\n")
    patiently(lambda: "page/queues/?name=reports" in browser.current_url)
    browser.get(f"{shop.web.url}{PAGE}page/dead-letters/?queue=celery&id={newest}" if shop.web else "")
    browser.find_element(By.CSS_SELECTOR, SEND).click()
    patiently(lambda: "1 letter" in text(browser, "main"))
    wait_gone(shop, newest)


def test_flow__a_killed_worker_is_seen_without_a_reload(shop: Shop, browser: Any) -> None:
    assert shop.web is not None
    shop.open(browser)
    patiently(lambda: "live" in text(browser, "#live"))
    browser.execute_script("window.wasNotLoadedAgain = true")

    worker: Worker = shop.workers["shop@web-1"]
    worker.kill()

    def verdict_names_it() -> bool:
        checks = get(f"{shop.web.url}{PAGE}health/").body["checks"] if shop.web else []
        return any(check["status"] == "warn" and "vanished" in check["message"] for check in checks)

    patiently(verdict_names_it, interval=0.5)
    judged_at = time.monotonic()
    patiently(lambda: "'shop@web-1' vanished" in text(browser, "main"))
    assert time.monotonic() - judged_at < 10
    assert browser.execute_script("return window.wasNotLoadedAgain") is True
