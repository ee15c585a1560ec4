"""Other people's policies, paths and middlewares: each page, file and form answers under all of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client, override_settings
from django.urls import set_script_prefix

from celery_health.records import RunningTask, TaskOutcomes
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery
from tests.dead_letters.conftest import Post
from tests.page.middlewares import CSP, Languages, Nowhere, Twice
from tests.page.walking import body_of, kind_of, read, walk

HERE = "tests.page.middlewares"
PLAIN = list(django_settings.MIDDLEWARE)
STATIC = "django.contrib.staticfiles.storage"
CACHE = "django.middleware.cache"
#: Pages, forms, resources, files.
EVERYWHERE = {
    "", "page/queues/", "page/tasks/", "page/workers/", "page/schedule/", "page/dead-letters/",
    "page/doctor/", "page/search/", "page/files/page.css", "page/files/page.js", "health/", "queues/",
    "doctor/", "dead-letters/", "page/runbook/", "page/dead-letters/requeue/", "page/dead-letters/purge/",
}  # fmt: skip
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "require-trusted-types-for": ["'script'"],
}


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """One broker will do: what differs is what stands before Django."""
    return redis_url


@pytest.fixture
def staff(client_of: Callable[[str], Client]) -> Client:
    """Somebody who may do everything, forms included."""
    return client_of("superuser")


@pytest.fixture(autouse=True)
def shop(celery: Celery, post: Post) -> Celery:
    """A shop with one of everything, some of it wrong; its dead letter is real."""
    running = RunningTask(worker="w1@test", task_id="7b6d1a52", task_name="shop.charge", queue="emails")
    late = make_entry("nightly", task="shop.report", overdue_seconds=90.0)
    celery.snapshot = make_snapshot(
        workers=[make_worker("w1@test", queues=("emails",), active=(running,), active_count=1)],
        queues=[make_queue("emails", ready=5000), make_queue("a/b?c", consumers=0), make_queue("celery")],
        recent={"shop.charge": TaskOutcomes(succeeded=3, failed=2)},
        beats=[make_beat(entries=(late, make_entry("sync")))],
        dead_letters={"emails": 1},
    )
    post.letter("emails", task="shop.charge")
    return celery


@contextmanager
def under(*middlewares: str, first: bool = True, **settings: Any) -> Iterator[None]:
    """Put middlewares around ours, and settings beside."""
    chain = [*middlewares, *PLAIN] if first else [*PLAIN, *middlewares]
    with override_settings(MIDDLEWARE=chain, **settings):
        yield


POLICIES: dict[str, Callable[[], Any]] = {
    "none": lambda: under(),
    "merged": lambda: under(f"{HERE}.MergingPolicy"),
    "merged last": lambda: under(f"{HERE}.MergingPolicy", first=False),
    "replaced": lambda: under(f"{HERE}.ReplacingPolicy"),
    "merged and replaced": lambda: under(f"{HERE}.ReplacingPolicy", f"{HERE}.MergingPolicy"),
    "headers of a proxy": lambda: under(f"{HERE}.HeadersOfProxy"),
    "login required": lambda: under("django.contrib.auth.middleware.LoginRequiredMiddleware", first=False),
    "urls by host": lambda: under(f"{HERE}.UrlsByHost", ROOT_URLCONF=Nowhere),
    "compressed": lambda: under(
        "django.middleware.gzip.GZipMiddleware", "django.middleware.http.ConditionalGetMiddleware"
    ),
    "cached": lambda: under(
        f"{CACHE}.UpdateCacheMiddleware",
        f"{CACHE}.FetchFromCacheMiddleware",
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    ),
    "clickjacking": lambda: under("django.middleware.clickjacking.XFrameOptionsMiddleware"),
    "csrf": lambda: under(
        "django.middleware.csrf.CsrfViewMiddleware", first=False, CSRF_USE_SESSIONS=True
    ),
    "no slashes": lambda: under("django.middleware.common.CommonMiddleware", APPEND_SLASH=False),
    "forwarded host": lambda: under(
        "django.middleware.common.CommonMiddleware", "django.middleware.security.SecurityMiddleware",
        USE_X_FORWARDED_HOST=True, USE_X_FORWARDED_PORT=True,
    ),
    "no static files": lambda: under(
        STATIC_URL=None, STATIC_ROOT=None, STATICFILES_DIRS=[], TEMPLATES=[], DEBUG=False,
        STORAGES={"staticfiles": {"BACKEND": f"{STATIC}.ManifestStaticFilesStorage"}},
    ),
    "numbers with points": lambda: under(LANGUAGE_CODE="de", USE_THOUSAND_SEPARATOR=True, USE_TZ=False),
}  # fmt: skip
if importlib.util.find_spec("django.middleware.csp"):
    POLICIES["django's own"] = lambda: under(
        "django.middleware.csp.ContentSecurityPolicyMiddleware", SECURE_CSP=SECURE_CSP
    )


def failed(answers: dict[str, Any]) -> dict[str, int]:
    """Return the status of each answer that is none; the search may lead to the one thing it found."""
    return {
        address: answer.status_code
        for address, answer in answers.items()
        if answer.status_code != 200
        and not (kind_of(address).endswith("/page/search/") and answer["Location"].startswith("../../page/"))
    }


@pytest.mark.parametrize("policy", POLICIES)
def test_pages__answer_under(staff: Client, policy: str) -> None:
    cache.clear()
    staff.defaults["HTTP_ACCEPT_ENCODING"] = "gzip"
    with POLICIES[policy]():
        answers = walk(staff, PREFIX, each=2)

    assert failed(answers) == {}
    # It has been everywhere: pages, resources, files.
    kinds = {kind_of(address).removeprefix(PREFIX) for address in answers}
    assert kinds >= EVERYWHERE
    for address, answer in answers.items():
        if answer.get("Content-Type", "").startswith("text/html"):
            html = read(body_of(answer))
            # Nothing that a policy of files alone would block, and nothing that it is told twice.
            assert html.inline == [], address
            assert sorted(html.ids) == sorted(set(html.ids)), address


@pytest.mark.parametrize("policy", ["merged", "replaced", "none"])
def test_pages__bring_no_policy_in_a_header(staff: Client, policy: str) -> None:
    """Where a project sets one, it is the project's: of ours only what stands in the page is added."""
    with POLICIES[policy]():
        headers = {address: answer.get(CSP, "") for address, answer in walk(staff, PREFIX, each=2).items()}

    assert not [address for address, header in headers.items() if "nonce" in header]
    if policy == "none":
        assert set(headers.values()) == {""}


def test_pages__are_kept_by_no_cache(staff: Client, client_of: Callable[[str], Client], shop: Celery) -> None:
    cache.clear()
    with POLICIES["cached"]():
        first = staff.get(PREFIX).content.decode()
        shop.snapshot = make_snapshot(queues=[make_queue("other")])
        second = staff.get(PREFIX).content.decode()
        refused = client_of("user").get(PREFIX)

    assert "shop.charge" in first and "shop.charge" not in second
    assert refused.status_code == 403


@pytest.mark.parametrize("option", ["DENY", "SAMEORIGIN"])
def test_pages__are_framed_no_more_than_the_project_allows(staff: Client, option: str) -> None:
    with POLICIES["clickjacking"](), override_settings(X_FRAME_OPTIONS=option):
        answers = walk(staff, PREFIX, each=2)

    framed = {address: answer["X-Frame-Options"] for address, answer in answers.items()}
    # The forms are framed by nobody.
    assert {address: found for address, found in framed.items() if found not in (option, "DENY")} == {}
    assert framed[PREFIX] == option


# Paths


def test_paths__behind_a_proxy_that_takes_a_prefix_off(staff: Client) -> None:
    answers = walk(staff, PREFIX, proxy="/ops/eu-1")

    assert failed(answers) == {}


def test_paths__below_the_servers_own(staff: Client) -> None:
    set_script_prefix("/ops/")
    try:
        answers = walk(staff, PREFIX, proxy="/ops", each=2)
    finally:
        set_script_prefix("/")

    assert failed(answers) == {}


@pytest.mark.parametrize("start", ["/first/", "/second/celery/"])
def test_paths__included_twice(staff: Client, start: str) -> None:
    with override_settings(ROOT_URLCONF=Twice):
        answers = walk(staff, start, each=2)

    assert failed(answers) == {}
    assert len(answers) > 20


@pytest.mark.parametrize("language", ["de", "en"])
def test_paths__below_a_language(staff: Client, language: str) -> None:
    with under(
        "django.middleware.locale.LocaleMiddleware",
        ROOT_URLCONF=Languages,
        LANGUAGES=[("de", "Deutsch"), ("en", "English")],
    ):
        answers = walk(staff, f"/{language}/celery/", each=2)

    assert failed(answers) == {}


@pytest.mark.parametrize("query", ["7b6d1a52", "nightly"])
def test_paths__the_search_leads_to_a_relative_address(staff: Client, query: str) -> None:
    location = staff.get(f"{PREFIX}page/search/", {"q": query})["Location"]

    assert location.startswith("../../page/")
