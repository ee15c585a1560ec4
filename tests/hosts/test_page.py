"""The status page in released applications, under their own middlewares: it answers and updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import skip_loudly
from tests.hosts.application import Application
from tests.hosts.deployment import Deployment
from tests.hosts.install import NotInstallableError
from tests.hosts.test_hosts import APPLICATIONS
from tests.hosts.visiting import PREFIX, Visit, mounted
from tests.page.browser import find_browser, open_browser
from tests.support import eventually
from tests.support.ports import free_port
from tests.support.postgres import find_postgres

pytestmark = [
    pytest.mark.soak,
    pytest.mark.live,
    pytest.mark.redis,
    pytest.mark.browser,
    pytest.mark.timeout(0),
]

#: Where there is a Django admin, and whether it is the staff's.
ADMINS = {"weblate": "/admin/"}


@pytest.fixture(params=APPLICATIONS, ids=lambda one: one.name)
def visit(request: pytest.FixtureRequest) -> Iterator[Visit]:
    application: Application = request.param
    if application.postgres and find_postgres() is None:
        skip_loudly("PostgreSQL is not installed (Debian: apt-get install postgresql).")
    port = free_port()
    try:
        host = Deployment(mounted(application, port))
    except NotInstallableError as error:
        skip_loudly(f"{application.name} {application.version} is not here. {error}")
    with host:
        visit = Visit(host, port)
        visit.open()
        host.start(host.few_commands)
        yield visit


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if find_browser() is None:
        skip_loudly("chromium and chromedriver are not installed.")
    opened = open_browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.quit()


def test_page__works_in_the_application(visit: Visit, browser: Any) -> None:
    statuses = {who: visit.get(PREFIX, who)[0] for who in (None, "user", "staff")}
    assert statuses == {None: 302, "user": 403, "staff": 200}
    seen = visit.walk("staff", most=80)
    assert {address: status for address, status in seen.items() if status not in (200, 302)} == {}
    name = visit.host.application.name
    if name in ADMINS:
        assert "Celery: status page" in visit.get(ADMINS[name], "staff")[2]

    # Before anything is asked: an answer to somebody else would set its own.
    cookie = {"name": visit.cookie, "value": visit.keys["staff"], "url": visit.address}
    browser.execute_cdp_cmd("Network.setCookie", cookie)
    browser.get(f"{visit.address}{PREFIX}")
    run = browser.execute_script
    eventually(lambda: run("return document.getElementById('live').innerText").startswith("live"), 60)
    read = run("return document.querySelector('main').dataset.takenAt")
    eventually(lambda: run("return document.querySelector('main').dataset.takenAt") != read, 60)
    eventually(lambda: "Looked at" in run("return document.getElementById('findings-now').innerText"), 60)
    eventually(lambda: browser.title.startswith("healthy"), 120)

    assert "sans-serif" in run("return getComputedStyle(document.body).fontFamily")
    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert [message for message in messages if "favicon" not in message] == []
