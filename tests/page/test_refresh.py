"""The page in a browser while what it shows changes: what somebody opened, selected or typed stays as it is.

The snapshots are doubles: rows that come, go and change places on demand.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from socketserver import ThreadingMixIn
from typing import Any
from unittest.mock import patch
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect
from django.test import override_settings

from celery_health.records import Snapshot
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery
from tests.page.browser import (
    PHONE,
    SMALL_PHONE,
    find_browser,
    look_with,
    open_browser,
    policy_violations,
    run_scripts,
    text,
)
from tests.support import eventually

pytestmark = [pytest.mark.browser, pytest.mark.live]

PUBLIC = {"PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"}}
SECONDS = 0.3
patiently = partial(eventually, timeout=30.0, interval=0.1)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Site:
    """The views of this process, before a browser; `broken` answers instead of them."""

    def __init__(self, celery: Celery) -> None:
        self.celery = celery
        self.answered = 0
        self.broken: Callable[[], HttpResponse] | None = None
        self.delay_seconds = 0.0
        self.tells_age = True
        app = get_wsgi_application()

        def answer(environ: Any, start_response: Any) -> Any:
            if self.broken is not None and "part=" in environ["QUERY_STRING"]:
                broken = self.broken()
                start_response(f"{broken.status_code} x", list(broken.items()))
                return [broken.content]
            done = app(environ, start_response)
            if "/files/" not in environ["PATH_INFO"]:
                time.sleep(self.delay_seconds)  # what it read is so much older when it comes
            self.answered += "part=content" in environ["QUERY_STRING"]
            return done if self.tells_age else [each.replace(b" data-age=", b" data-old=") for each in done]

        self.server = make_server("127.0.0.1", 0, answer, Server, Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}{PREFIX}"

    def show(self, snapshot: Snapshot) -> None:
        """Have the next answers show it."""
        self.celery.snapshot = snapshot

    def wait_for_answers(self, browser: Any, count: int = 1) -> None:
        """Wait until the page has taken so many more."""
        script = "return document.getElementById('main').dataset.takenAt"
        for _ in range(count):
            before = browser.execute_script(script)
            patiently(lambda before=before: browser.execute_script(script) != before)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if find_browser() is None:
        pytest.skip("chromium and chromedriver are not installed")
    chrome = open_browser(tmp_path_factory.mktemp("browser"))
    yield chrome
    chrome.quit()


@pytest.fixture
def site(celery: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("celery_health.page.base.REFRESH_SECONDS", SECONDS)
    read = celery.read

    def read_now(deadline: Any = None) -> tuple[Snapshot, float]:
        snapshot, age = read(deadline)
        # Each answer is of now, as those of real systems are.
        return replace(snapshot, taken_at=datetime.now(UTC)), age

    monkeypatch.setattr("celery_health.health.verdict.get_reading", read_now)
    with override_settings(CELERY_HEALTH=PUBLIC):
        site = Site(celery)
        yield site
        site.server.shutdown()
        site.server.server_close()


def queues(names: str, ready: int = 5000) -> Snapshot:
    found = [make_queue(f"queue-{name}", ready=ready, consumers=1) for name in names]
    return make_snapshot(
        workers=[make_worker("w1@host"), make_worker("w2@host")], queues=found, dead_letters={"queue-a": 3}
    )


def order(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('#queues tbody th a')].map((each) => each.innerText)"
    return list(browser.execute_script(script))


#: The page as it is, without what the script has put there and what changes with the clock.
PLAIN = """
    const copy = document.querySelector("#content").cloneNode(true);
    for (const each of copy.querySelectorAll("button.copy, .origin, #findings-now")) each.remove();
    for (const each of copy.querySelectorAll("#stop-doctor .count")) each.remove();
    for (const each of copy.querySelectorAll("details")) each.open = false;
    const main = copy.querySelector("main");
    for (const name of Object.keys(main.dataset)) delete main.dataset[name];
    copy.normalize();
    return copy.innerHTML.replace(/\\s+/g, " ");
"""


def test_refresh__leaves_what_somebody_does_as_it_is(browser: Any, site: Site) -> None:
    site.show(queues("abcdefgh"))
    look_with(browser)
    browser.get(site.address)
    site.wait_for_answers(browser)
    browser.execute_script(
        """
        window.kept = document.querySelector("#queues a[href$=queue-d]");
        window.row = document.querySelector("#queues a[href$=queue-f]").closest("tr");
        document.getElementById("q").value = "typed";
        document.getElementById("passed").open = true;
        window.scrollTo(0, 400);
        window.kept.focus({preventScroll: true});
        document.getSelection().selectAllChildren(window.row.querySelector("a"));
        """
    )

    for names in ("hgfedcba", "fd", "xfyd", "adf", "dbcaf"):
        site.show(queues(names))
        site.wait_for_answers(browser, 2)
        assert sorted(order(browser)) == sorted(f"queue-{name}" for name in names)
        is_so, selected, typed, is_open, is_same = browser.execute_script(
            """return [
                document.activeElement === window.kept && window.kept.isConnected,
                document.getSelection().toString(), document.getElementById("q").value,
                document.getElementById("passed").open,
                document.querySelector("#queues a[href$=queue-f]").closest("tr") === window.row]"""
        )
        assert (is_so, selected, typed, is_open, is_same) == (True, "queue-f", "typed", True, True)
        assert browser.title.startswith("degraded")


def test_refresh__ends_as_a_page_that_was_loaded_anew(browser: Any, site: Site) -> None:
    look_with(browser)
    site.show(queues("abc"))
    browser.get(site.address)
    gone = make_snapshot(workers=[], queues=[make_queue("queue-z", ready=3, consumers=0)])
    for snapshot in (queues("cabx"), gone, make_snapshot(queues=[]), queues("bz", ready=0), queues("zyxwb")):
        site.show(snapshot)
        site.wait_for_answers(browser, 2)
    patched = browser.execute_script(PLAIN)

    browser.get(site.address)

    assert patched == browser.execute_script(PLAIN)


def test_refresh__goes_on_around_what_is_selected(browser: Any, site: Site) -> None:
    look_with(browser)
    site.show(queues("ab", ready=5001))
    browser.get(site.address)
    site.wait_for_answers(browser)
    browser.execute_script(
        "document.getSelection().selectAllChildren(document.querySelector('#queues tbody tr:first-child td'))"
    )
    site.show(queues("ab", ready=6002))
    site.wait_for_answers(browser, 2)
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#queues tbody tr')].map((r) => r.innerText)"
    )

    # What is selected waits, and says so; all else is as it is now.
    assert "5,001" in rows[0] and "6,002" in rows[1]
    assert browser.execute_script("return document.querySelectorAll('tr.held').length") == 1
    assert not text(browser, "#stale")
    browser.execute_script("document.getSelection().removeAllRanges()")
    patiently(lambda: "6,002" in text(browser, "#queues tbody tr:first-child"))
    assert browser.execute_script("return document.querySelectorAll('.held').length") == 0

    # The verdict never waits in silence.
    browser.execute_script("document.getSelection().selectAllChildren(document.querySelector('#verdict'))")
    patiently(lambda: "Text is selected" in text(browser, "#stale"))
    assert browser.title.startswith("not known")


def test_copy__is_what_is_to_be_pasted(browser: Any, site: Site) -> None:
    look_with(browser)
    site.show(make_snapshot(queues=[make_queue("it's; a -x", ready=5000, consumers=1)]))
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})
    browser.get(site.address)
    wanted = """celery -A proj worker -n it-s-a--x@%h -Q 'it'"'"'s; a -x'"""
    shown = browser.execute_script("return document.querySelector('code.command').textContent")
    assert shown in (wanted, """celery -A proj worker -Q 'it'"'"'s; a -x'""")
    browser.execute_script("document.querySelector('button.copy').click()")
    patiently(lambda: text(browser, "button.copy") == "Copied")

    read = (
        "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(String(error)))"
    )
    assert browser.execute_async_script(read) == shown
    label = browser.execute_script("return document.querySelector('button.copy').getAttribute('aria-label')")
    assert label == "Copied"
    patiently(lambda: text(browser, "button.copy") == "Copy")

    # Where there is no clipboard, which is over http, it is copied as a selection is.
    browser.get("about:blank")
    browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument",
        {"source": "Object.defineProperty(navigator, 'clipboard', {value: undefined})"},
    )
    browser.get(site.address)
    from selenium.webdriver.common.by import By

    browser.find_element(By.CSS_SELECTOR, "button.copy").click()
    patiently(lambda: text(browser, "button.copy") == "Copied")


def hang() -> HttpResponse:
    time.sleep(3600)
    return HttpResponse()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda: HttpResponse(status=500), "The server answered 500."),
        (lambda: HttpResponse(status=403), "You are logged out"),
        (lambda: HttpResponseRedirect("/login/"), "logged out"),
        (lambda: HttpResponse("<p>a login form</p>"), "The server answered 200."),
        (hang, "may be wrong"),
    ],
    ids=["error", "forbidden", "login", "other", "hung"],
)
def test_page__that_is_not_updated_says_so(
    browser: Any, site: Site, broken: Callable[[], HttpResponse], says: str
) -> None:
    look_with(browser)
    browser.get(site.address)
    site.wait_for_answers(browser)
    patiently(lambda: browser.title.startswith("healthy"))

    site.broken = broken
    patiently(lambda: browser.title.startswith("not known · healthy"))
    patiently(lambda: says in text(browser, "#stale"))
    assert "login form" not in text(browser, "#content")
    assert browser.execute_script("return document.getElementById('icon').href").endswith("icon-unknown.svg")
    if broken is hang:
        return
    site.broken = None
    patiently(lambda: browser.title.startswith("healthy"))
    assert not text(browser, "#stale")


def test_page__without_its_script_says_so(browser: Any, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # A browser that reloads all the time never says that it is done.
    monkeypatch.setattr("celery_health.page.base.REFRESH_SECONDS", 3600)
    look_with(browser)
    run_scripts(browser, False)
    try:
        browser.get(site.address)
        # Reloaded by the browser, it is as new as with a script.
        assert browser.title.startswith("not updated · healthy at ")
    finally:
        run_scripts(browser, True)


def test_page__whose_script_is_blocked_says_so(browser: Any, site: Site) -> None:
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*page.js"]})
    try:
        browser.get(site.address)
        patiently(lambda: "does not run" in text(browser, "#stale"))
        assert browser.title.startswith("not updated · healthy at ")
    finally:
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})


@pytest.mark.parametrize("name", ["celery", "x" * 300, "accounts." * 40, "</td><script>alert(1)</script>"])
def test_page__of_any_name_fits_a_phone(browser: Any, site: Site, name: str) -> None:
    site.show(
        make_snapshot(
            workers=[make_worker(name, queues=(name,))],
            queues=[make_queue(name, ready=5000, consumers=1)],
            dead_letters={name: 812},
        )
    )
    look_with(browser, PHONE)
    try:
        browser.get(site.address)
        seen, verdict = browser.execute_script(
            """return [document.scrollingElement.scrollWidth,
                document.querySelector("#verdict h1").getBoundingClientRect().bottom]"""
        )
        assert seen <= PHONE.width
        assert verdict < 300
        assert policy_violations(browser) == []
    finally:
        look_with(browser)


def test_page__of_a_missing_thing_whose_like_has_a_long_name_fits_a_phone(browser: Any, site: Site) -> None:
    name = "e" * 300
    site.show(make_snapshot(beats=(make_beat(entries=(make_entry(f"{name}1"),)),)))
    look_with(browser, SMALL_PHONE)
    try:
        browser.get(f"{site.address}page/schedule/?name={name}")
        similar, page = browser.execute_script(
            """return [document.querySelector("#similar-block a").getBoundingClientRect().right,
                document.scrollingElement.scrollWidth]"""
        )
        # A phone's `innerWidth` grows with what it shows.
        assert (page, similar < SMALL_PHONE.width) == (SMALL_PHONE.width, True)
    finally:
        look_with(browser)


@pytest.mark.parametrize(
    "why", ["the reading is old", "the answer is long under way", "nobody says how old it is"]
)
def test_page__that_shows_what_was_is_not_live(browser: Any, site: Site, why: str) -> None:
    site.show(queues("ab", ready=0))
    look_with(browser)
    browser.get(site.address)
    patiently(lambda: browser.title.startswith("healthy"))

    if why == "the reading is old":
        site.celery.age_seconds = 30.0
    elif why == "nobody says how old it is":
        site.tells_age = False  # as another version's process
    else:
        site.delay_seconds = 6 * SECONDS
    patiently(lambda: browser.title.startswith("not known"))
    browser.execute_script("window.titles = []; setInterval(() => window.titles.push(document.title), 20)")
    site.wait_for_answers(browser, 2)

    titles = browser.execute_script("return window.titles")
    assert {title.partition(" · ")[0] for title in titles} == {"not known"}
    site.celery.age_seconds, site.delay_seconds, site.tells_age = 0.1, 0.0, True
    patiently(lambda: browser.title.startswith("healthy"))


def test_page__snapshots_of_the_same_moment_are_no_news(browser: Any, site: Site) -> None:
    """An answer from some cache never makes a page look new."""
    browser.get(site.address)
    site.wait_for_answers(browser)
    moment = datetime.now(UTC)
    with patch(
        "celery_health.health.verdict.get_reading",
        lambda deadline=None: (make_snapshot(taken_at=moment), 0.1),
    ):
        patiently(lambda: browser.title.startswith("not known"))
