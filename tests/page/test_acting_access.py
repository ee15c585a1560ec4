"""Acting from the page: who may, that they mean it, and that what is sent is not trusted."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from rest_framework.authentication import BasicAuthentication

from celery_health.api.bodies import MAX_BODY_BYTES
from celery_health.dead_letters.destination import why_unconsumed
from celery_health.page.acting import ACTIONS, ActionPage
from celery_health.page.actions import is_confirmed, typed_form
from celery_health.records import Snapshot
from celery_health.testing import make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, RANKS
from tests.dead_letters.conftest import Post
from tests.dead_letters.test_hostile import MARKUP
from tests.page.asking import LETTERS, PURGE, REQUEUE, asked, size, text
from tests.page.test_letters_page import RAW, fill, numbered


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """On Redis alone: what brokers do differently is shown in `test_acting`."""
    return redis_url


@pytest.mark.parametrize("queue", ["a b", " a", "a  b/c?&", MARKUP, "käse", "tab\there"])
def test_purge__of_queues_with_odd_names(post: Post, superuser: Client, queue: str) -> None:
    fill(post, numbered(1), queue=queue)

    question = asked(superuser, PURGE, queue=queue)
    assert not [raw for raw in RAW if raw in question.page]
    assert question.typed == typed_form(queue)
    done = question.press(confirm=question.typed or "")

    assert "1 dead letter of queue" in done.read
    assert not [raw for raw in RAW if raw in done.page]
    assert size(queue) in (0, None)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("celery", "celery"),
        ("a b", "a b"),
        # What nobody sees is made visible.
        (" a", "\\x20a"),
        ("a  ", "a\\x20\\x20"),
        ("a  b", "a \\x20b"),
        ("a   b", "a \\x20 b"),
        ("   ", "\\x20\\x20\\x20"),
        ("a\tb\n", "a\\tb\\n"),
        ("a\u202eb", "a\\u202eb"),
        ("a\xa0b", "a\\xa0b"),
        ("", ""),
    ],
)
def test_confirmation__is_what_is_shown_or_the_name_itself(name: str, shown: str) -> None:
    assert typed_form(name) == shown
    assert is_confirmed(shown, name) and is_confirmed(name, name)
    assert not is_confirmed(None, name)
    assert not is_confirmed(f"{name}x", name)
    # As a browser shows it, nothing of it is folded away.
    assert " ".join(shown.split()) == shown


# Who may


@pytest.mark.parametrize("path", [REQUEUE, PURGE])
@pytest.mark.parametrize("rank", RANKS)
def test_acting__is_for_those_who_may_write(
    post: Post, client_of: Callable[[str], Client], path: str, rank: str
) -> None:
    post.letter("celery")
    client = client_of(rank)
    may = rank == "superuser"

    assert client.get(path, {"queue": "celery"}).status_code == (200 if may else 403)
    refused = client.post(f"{path}?queue=celery", {}, content_type="application/x-www-form-urlencoded")
    # Who may has confirmed nothing.
    assert refused.status_code == (400 if may else 403)
    assert size() == 1
    assert refused["X-Frame-Options"] == "DENY"
    assert refused["Cache-Control"] == "no-store"


@pytest.mark.parametrize("key", ["page", "read", "write"])
def test_acting__takes_each_permission(
    post: Post, superuser: Client, settings: Any, key: str, monkeypatch: Any
) -> None:
    post.letter("celery")
    question = asked(superuser, PURGE, queue="celery")
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "PERMISSIONS": {key: f"{__name__}.Nobody"}}

    assert asked(superuser, PURGE, queue="celery").status == 403
    assert question.press(confirm="celery").status == 403
    assert size() == 1


class Nobody:
    """Lets nobody pass."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return False


def test_acting__others_are_told_what_it_takes(post: Post, staff: Client) -> None:
    page = staff.get(PURGE, {"queue": "celery"}).content.decode()

    assert "permissions “page”, “read” and “write”" in text(page)


# That they mean it


def test_csrf__without_the_token_nothing_is_done(post: Post, superuser: Client) -> None:
    post.letter("celery")
    question = asked(superuser, PURGE, queue="celery")

    for token in ("", "b" * 64, "<script>"):
        refused = question.press(confirm="celery", csrfmiddlewaretoken=token)
        assert refused.status == 403
        assert "Nothing was done" in refused.page
    superuser.cookies.pop("csrftoken")
    assert question.press(confirm="celery").status == 403
    assert size() == 1


def test_csrf__another_sites_page(post: Post, superuser: Client) -> None:
    post.letter("celery")
    question = asked(superuser, PURGE, queue="celery")
    form = urlencode({**question.hidden, "confirm": "celery"})
    kind = "application/x-www-form-urlencoded"

    sent = superuser.post(
        f"{PURGE}?queue=celery", form, content_type=kind, headers={"Origin": "https://evil.example"}
    )

    assert sent.status_code == 403
    assert size() == 1


@pytest.mark.parametrize(
    "options", [{}, {"CSRF_USE_SESSIONS": True}, {"CSRF_COOKIE_HTTPONLY": True}, {"CSRF_COOKIE_NAME": "own"}]
)
@pytest.mark.parametrize("with_middleware", [False, True])
def test_csrf__works_however_the_project_keeps_its_token(
    post: Post, superuser: Client, settings: Any, options: dict[str, Any], with_middleware: bool
) -> None:
    if with_middleware:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]
    for name, value in options.items():
        setattr(settings, name, value)
    post.letter("celery")

    first = asked(superuser, PURGE, queue="celery")
    # A second tab does not end what the first asks.
    asked(superuser, PURGE, queue="celery")
    superuser.cookies.pop("unknown", None)

    assert first.press(confirm="celery").status == 200
    assert size() == 0


def test_csrf__kept_in_a_session_that_nobody_makes_is_said(post: Post, db: None, settings: Any) -> None:
    anyone = "rest_framework.permissions.AllowAny"
    settings.MIDDLEWARE, settings.CSRF_USE_SESSIONS, settings.DEBUG = [], True, True
    settings.CELERY_HEALTH = {
        **settings.CELERY_HEALTH, "PERMISSIONS": dict.fromkeys(("page", "read", "write"), anyone),
    }  # fmt: skip
    task_id = post.letter("celery")

    for path, target in ((PURGE, {}), (LETTERS, {"id": task_id})):
        page = asked(Client(), path, queue="celery", **target)
        assert (page.status, "</html>" in page.page) == (500, True)


def test_csrf__where_anyone_may(post: Post, db: None, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("celery_health.page.letter.why_unconsumed", lambda snapshot, queue: None)
    anyone = "rest_framework.permissions.AllowAny"
    settings.CELERY_HEALTH = {
        **settings.CELERY_HEALTH, "PERMISSIONS": dict.fromkeys(("page", "read", "write"), anyone),
    }  # fmt: skip
    task_id = post.letter("celery")
    client = Client(enforce_csrf_checks=True)
    question = asked(client, PURGE, queue="celery")

    assert question.press(confirm="celery", csrfmiddlewaretoken="").status == 403
    assert size() == 1
    letters = [asked(client, LETTERS, queue="celery", id=task_id) for _ in range(2)]
    assert letters[0].hidden["csrfmiddlewaretoken"] and client.cookies["csrftoken"].value
    # A second tab does not end what the first asks.
    assert letters[0].press().status == 409
    assert "1 dead letter of queue 'celery' purged." in question.press(confirm="celery").read


class Bearer(BasicAuthentication):
    """Stands for a project's authentication by tokens."""

    def authenticate(self, request: Any) -> Any:
        is_bearer = request.META.get("HTTP_AUTHORIZATION", "").startswith("Bearer ")
        return (get_user_model().objects.get(username="root"), None) if is_bearer else None


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_csrf__also_with_a_password_or_token(post: Post, db: None, monkeypatch: Any, scheme: str) -> None:
    monkeypatch.setattr(ActionPage, "authentication_classes", [BasicAuthentication, Bearer])
    get_user_model().objects.create_superuser("root", password="pw")
    post.letter("celery")
    secret = b64encode(b"root:pw").decode()
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"{scheme} {secret}"})

    form = urlencode({"confirm": "celery"})
    kind = "application/x-www-form-urlencoded"
    sent = client.post(f"{PURGE}?queue=celery", form, content_type=kind)
    assert sent.status_code == 403
    assert size() == 1
    assert "purged." in asked(client, PURGE, queue="celery").press(confirm="celery").read


# What is sent is not trusted


@pytest.mark.parametrize(
    ("query", "fields", "status"),
    [
        # Empty, it would mean all.
        ("queue=celery&id=", {}, 400),
        ("queue=celery&task=", {}, 400),
        ("", {}, 400),
        ("queue=celery&queue=emails", {}, 400),
        ("queue=celery&since=soon", {}, 400),
        ("queue=celery&tsk=a", {}, 400),
        ("queue=celery", {"ids": "x"}, 400),
        ("queue=celery", {"confirm": "x" * MAX_BODY_BYTES}, 413),
    ],
)
def test_acting__wrong_questions_do_nothing(
    post: Post, superuser: Client, consumed: None, query: str, fields: dict[str, str], status: int
) -> None:
    post.letter("celery")
    question = asked(superuser, REQUEUE, queue="celery")
    form = urlencode({"confirm": "celery", **question.hidden, **fields})
    token = {"X-CSRFToken": question.hidden["csrfmiddlewaretoken"]}
    kind = "application/x-www-form-urlencoded"

    sent = superuser.post(f"{REQUEUE}?{query}", form, content_type=kind, headers=token)

    assert sent.status_code == status, sent.content[:1000]
    assert size() == 1


def test_actions__each_has_an_address_and_a_name() -> None:
    assert {f"{PREFIX}page/{path}/" for path in ACTIONS} == {REQUEUE, PURGE}


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (make_snapshot(workers=[make_worker("w", queues=("celery",))]), None),
        (make_snapshot(queues=[make_queue("celery", consumers=2)], workers=[]), None),
        (make_snapshot(queues=[make_queue("celery", consumers=0)], workers=[]), "Nobody consumes"),
        (make_snapshot(queues=[], workers=[]), "It is not known whether anybody consumes"),
    ],
)
def test_destination__says_why_not(snapshot: Snapshot, said: str | None) -> None:
    why = why_unconsumed(snapshot, "celery")

    assert (why is None) if said is None else str(why).startswith(f"{said} queue 'celery'")
