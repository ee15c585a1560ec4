"""What holds for every page, whatever it shows: found from the overview, link by link, one of each kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.page.browser import (
    DESKTOP,
    PHONE,
    SCHEMES,
    SMALL_PHONE,
    hosts_asked,
    look_with,
    policy_violations,
)
from tests.page.shop import PAGE, WORKERS, Shop
from tests.support import RedisServer, WebServer, eventually

pytestmark = [
    pytest.mark.browser, pytest.mark.redis, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(400),
]  # fmt: skip

#: Stand alone: what is no link in the middle of a text. Those are as high as a finger is wide.
SMALL_TARGETS = """
    const found = [];
    for (const each of document.querySelectorAll("a[href], button, input, select, summary")) {
        const box = each.getBoundingClientRect();
        const isSeen = each.checkVisibility() && box.width > 1 && box.bottom > 0 && each.type !== "hidden";
        const around = each.parentElement.textContent.trim(), own = each.textContent.trim();
        const isInText = getComputedStyle(each).display === "inline" && around !== own;
        if (isSeen && !isInText && Math.max(box.height, box.width) > 0 && box.height < 43.5)
            found.push(each.outerHTML.slice(0, 120) + " is " + box.height + " px high");
    }
    return found;
"""
#: Not to be compared with `innerWidth`, which on a phone grows with what is shown.
WIDTH = "return document.scrollingElement.scrollWidth"


patiently = partial(eventually, timeout=60.0, interval=0.5)


def letters(shop: Shop, queue: str) -> int:
    """Return how many dead letters a queue has."""
    return int(json.loads(shop.manage("celery_health", "dead-letters", "list", queue, "--json"))["size"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop in which every sort of thing is there to see: failures, letters, a backlog, findings."""
    with Shop(tmp_path_factory.mktemp("shop")) as shop:
        for name in WORKERS:
            shop.start_worker(name)
        shop.start_beat()
        shop.manage("payments", "down")
        shop.manage("place_orders", "--count", "26", "--every", "0")
        # Orders 7, 13, 14, 21 and 26 cannot be confirmed; payments are tried four times.
        patiently(lambda: letters(shop, "emails") == 5 and letters(shop, "celery") == 26)
        shop.start_web()
        yield shop


@pytest.fixture(scope="module")
def kinds(shop: Shop, chromium: Any) -> dict[tuple[str, tuple[str, ...]], str]:
    """One address of each kind of page: its path, and what its query names."""
    shop.open(chromium)
    found: dict[tuple[str, tuple[str, ...]], str] = {}
    pending = [chromium.current_url]
    while pending:
        address = pending.pop(0)
        parts = urlsplit(address)
        kind = (parts.path, tuple(sorted(parse_qs(parts.query))))
        is_ours = parts.path == PAGE or parts.path.startswith(f"{PAGE}page/")
        if not is_ours or kind in found or "/files/" in parts.path:
            continue
        found[kind] = address
        chromium.get(address)
        # Django's own page of a 404 has none.
        assert chromium.execute_script("return document.querySelector('main[data-status]') !== null"), address
        pending += chromium.execute_script(
            "return [...document.querySelectorAll('main a[href], nav a[href]')].map((each) => each.href)"
        )
    return found


def test_kinds__are_all_found(kinds: dict[tuple[str, tuple[str, ...]], str]) -> None:
    lists = {path.removeprefix(PAGE) for path, _query in kinds}
    single = {path.removeprefix(f"{PAGE}page/") for path, query in kinds if "name" in query}

    stops = ("queues", "tasks", "workers", "schedule", "dead-letters", "doctor")
    assert lists >= {"", *(f"page/{stop}/" for stop in stops)}
    assert single >= {"queues/", "tasks/", "workers/"}
    letters_of = [query for path, query in kinds if path == f"{PAGE}page/dead-letters/"]
    assert {("queue",), ("id", "queue")} <= {*letters_of}


def test_every_page__has_no_violation_of_axe(
    shop: Shop, kinds: dict[tuple[str, tuple[str, ...]], str], browser: Any, axe: Callable[[Any], list[str]]
) -> None:
    shop.open(browser)
    found: list[str] = []
    for kind, address in kinds.items():
        browser.get(address)
        for screen in (DESKTOP, PHONE):
            for scheme in SCHEMES:
                look_with(browser, screen, scheme)
                found += [f"{kind} {screen.width} px, {scheme}: {line}" for line in axe(browser)]
    assert found == [], "\n".join(["", *found])


def test_every_page__fits_on_a_phone(
    shop: Shop, kinds: dict[tuple[str, tuple[str, ...]], str], browser: Any
) -> None:
    shop.open(browser)
    found: list[str] = []
    for kind, address in kinds.items():
        browser.get(address)
        for screen in (PHONE, SMALL_PHONE):
            look_with(browser, screen)
            content = browser.execute_script(WIDTH)
            if content > screen.width:
                found.append(f"{kind} is {content} px wide on {screen.width} px")
            found += [f"{kind}: {line}" for line in browser.execute_script(SMALL_TARGETS)]
    assert found == [], "\n".join(["", *found])


def test_every_page__works_under_a_strict_policy_and_asks_nobody_else(
    shop: Shop, kinds: dict[tuple[str, tuple[str, ...]], str], browser: Any
) -> None:
    first = shop.web
    strict = shop.start_web("""
        MIDDLEWARE = ["tests.page.policies.ReplacePolicy", *MIDDLEWARE]
        PAGE_POLICY = "script-src 'self'; style-src 'self'"
    """)
    try:
        shop.open(browser)
        hosts_asked(browser), policy_violations(browser)  # those of the login
        found: list[str] = []
        for kind, address in kinds.items():
            browser.get(urlsplit(address)._replace(netloc=f"127.0.0.1:{strict.port}").geturl())
            found += [f"{kind}: {line}" for line in policy_violations(browser)]
        assert found == [], "\n".join(["", *found])
        assert hosts_asked(browser) == {f"127.0.0.1:{strict.port}"}
    finally:
        strict.close()
        shop.web = first


@pytest.mark.parametrize("state", ["first minute", "broker hung", "broker gone"])
def test_overview__of_a_broken_system_is_as_sound(
    browser: Any,
    axe: Callable[[Any], list[str]],
    own_redis: Callable[..., RedisServer],
    web_server: Callable[..., WebServer],
    state: str,
) -> None:
    server = own_redis()
    public = {"PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"}, "EXPECTED_QUEUES": ["x" * 300]}
    web = web_server(server.url, health=public)
    if state == "broker hung":
        server.pause()
    if state == "broker gone":
        server.stop()
    try:
        found: list[str] = []
        for screen, scheme in ((DESKTOP, "light"), (PHONE, "dark"), (SMALL_PHONE, "light")):
            look_with(browser, screen, scheme)
            browser.get(web.url + PAGE)
            assert "unhealthy" in browser.title
            found += axe(browser)
            assert browser.execute_script(WIDTH) <= screen.width
            found += browser.execute_script(SMALL_TARGETS) if screen.is_phone else []
        assert found == [], "\n".join(["", *found])
    finally:
        if server.running:
            server.resume()
