"""`dead-letters/` over HTTP: what it answers, who may do what, and what is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from rest_framework.authentication import BaseAuthentication

from celery_health import dead_letters
from celery_health.dead_letters import letters
from celery_health.exceptions import BrokerError
from tests.dead_letters.conftest import Post

ROOT = "/api/celery/dead-letters/"
READ = ("", "celery/", "celery/x/")
WRITE = ("celery/requeue/", "celery/purge/", "celery/x/requeue/")


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """On Redis alone: what brokers do differently is shown in `test_letters`."""
    return redis_url


@pytest.fixture
def client_of(db: None) -> Callable[..., Client]:
    def make(rank: str, **options: Any) -> Client:
        client = Client(**options)
        if rank != "anonymous":
            user = get_user_model().objects.create_user(
                username=rank,
                password="pw",
                is_staff=rank in ("staff", "superuser"),
                is_superuser=rank == "superuser",
            )
            client.force_login(user)
        return client

    return make


@pytest.fixture
def superuser(client_of: Callable[..., Client]) -> Client:
    return client_of("superuser")


def send(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(ROOT + path, body or {}, content_type="application/json", headers=headers)


def test_http__sizes(post: Post, superuser: Client) -> None:
    post.letter("celery")

    response = superuser.get(ROOT)

    assert response.json() == {"queues": [{"queue": "celery", "size": 1}], "count": 1, "total": 1}
    assert response["Cache-Control"] == "no-store"


def test_http__page(post: Post, superuser: Client) -> None:
    ids = [post.letter("celery", task=f"shop.{n}") for n in "abc"]

    body = superuser.get(ROOT + "celery/?limit=1&offset=1").json()

    (letter,) = body.pop("letters")
    assert body == {
        "queue": "celery", "size": 3, "offset": 1, "looked_at": 2, "more": True, "complete": True,
        "notes": [],
    }  # fmt: skip
    assert letter["task_id"] == ids[1]
    assert letter["task_name"] == "shop.b"
    assert letter["exception"] == "Boom"
    assert letter["failed_at"].endswith("Z")
    assert "args" not in letter


def test_http__filters(post: Post, superuser: Client) -> None:
    for name in ("a", "b", "a"):
        post.letter("celery", task=name)

    def count(query: str) -> int:
        return len(superuser.get(f"{ROOT}celery/?{query}").json()["letters"])

    assert count("task=a") == 2
    assert count("task=a&exception=Boom") == 2
    assert count("exception=ValueError") == 0
    assert count("since=1h") == 3
    assert count("until=1h") == 0
    assert count("until=2999-01-01") == 3


def test_http__one(post: Post, superuser: Client) -> None:
    task_id = post.letter("celery")

    body = superuser.get(f"{ROOT}celery/{task_id}/").json()

    assert body["task_id"] == task_id
    assert body["traceback"].startswith("Traceback")
    assert superuser.get(f"{ROOT}celery/{body['id']}/").json() == body
    missing = superuser.get(f"{ROOT}celery/nothing/")
    assert missing.status_code == 404
    assert missing.json() == {"error": "No dead letter of queue 'celery' has the id 'nothing'."}


@pytest.mark.parametrize(
    ("query", "fix"),
    [
        ("limit=0", "Give a whole number from 1 to 10000."),
        ("offset=-1", "Give a whole number from 0 to 1000000."),
        ("since=yesterday", "Give a time"),
        ("task=", "Give a value"),
        ("tsk=a", "write 'task'"),
    ],
)
def test_http__bad_parameters(post: Post, superuser: Client, query: str, fix: str) -> None:
    response = superuser.get(f"{ROOT}celery/?{query}")

    assert response.status_code == 400
    assert fix in response.json()["fix"]


def test_http__requeue_refused_and_forced(post: Post, superuser: Client, caplog: Any) -> None:
    for _ in range(3):
        post.letter("celery")

    refused = send(superuser, "celery/requeue/")
    assert refused.status_code == 409
    assert "-Q celery), or force it." in refused.json()["error"]
    assert dead_letters.sizes()["celery"] == 3

    with caplog.at_level(logging.WARNING, "celery_health.audit"):
        caplog.clear()
        done = send(superuser, "celery/requeue/", {"force": True, "limit": 2})
    assert done.status_code == 200
    assert done.json() == {
        "queue": "celery", "requeued": 2, "expired": 0, "unsendable": 0, "gone": 0, "remaining": 1,
        "looked_at": 2, "finished": False, "complete": True, "not_found": [], "dry_run": False, "notes": [],
    }  # fmt: skip
    assert post.ready("celery") == 2
    assert [record.getMessage() for record in caplog.records] == [
        "Dead letters: requeue of queue 'celery' by superuser (HTTP, 127.0.0.1): 2 (done)."
    ]
    (record,) = caplog.records
    assert (record.action, record.queue, record.count, record.outcome) == ("requeue", "celery", 2, "done")


def test_http__requeue_chosen(post: Post, superuser: Client) -> None:
    ids = [post.letter("celery", task=name) for name in "abc"]

    assert send(superuser, "celery/requeue/", {"ids": [], "force": True}).json()["requeued"] == 0
    body = send(superuser, "celery/requeue/", {"ids": [ids[0], "x"], "force": True}).json()
    assert (body["requeued"], body["not_found"]) == (1, ["x"])
    assert send(superuser, "celery/requeue/", {"task": "b", "force": True}).json()["requeued"] == 1
    one = send(superuser, f"celery/{ids[2]}/requeue/", {"force": True})
    assert (one.status_code, one.json()["requeued"]) == (200, 1)
    assert send(superuser, f"celery/{ids[2]}/requeue/", {"force": True}).status_code == 404


def test_http__requeue_holds_no_thread(post: Post, superuser: Client, settings: Any) -> None:
    """A rate waits for nothing beyond ``DEADLINE``, and the answer says what is left."""
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "DEADLINE": 2}
    for _ in range(3):
        post.letter("celery")

    refused = send(superuser, "celery/requeue/", {"force": True, "rate": 0.01})
    assert refused.status_code == 400
    assert refused.json()["fix"].startswith(
        "Give 0.5 or more, since one call sends for 2 s at most (DEADLINE)"
    )
    assert dead_letters.sizes()["celery"] == 3
    body = send(superuser, "celery/requeue/", {"force": True, "rate": 0.5}).json()
    assert (body["requeued"], body["remaining"], body["finished"]) == (1, 2, False)
    assert body["notes"] == ["The time was up before every letter was looked at. Ask again for the rest."]


def test_http__dry_runs_change_and_log_nothing(post: Post, superuser: Client, caplog: Any) -> None:
    post.letter("celery")

    assert send(superuser, "celery/requeue/", {"dry_run": True}).json()["requeued"] == 1
    assert send(superuser, "celery/purge/", {"dry_run": True}).json() == {
        "queue": "celery", "purged": 1, "dry_run": True,
    }  # fmt: skip
    assert dead_letters.sizes()["celery"] == 1
    assert post.ready("celery") == 0
    assert not [record for record in caplog.records if record.name == "celery_health.audit"]


def test_http__purge(post: Post, superuser: Client, caplog: Any) -> None:
    post.letter("celery")

    body = send(superuser, "celery/purge/").json()

    assert body == {"queue": "celery", "purged": 1, "dry_run": False}
    assert dead_letters.sizes()["celery"] == 0
    (record,) = [record for record in caplog.records if record.name == "celery_health.audit"]
    assert record.levelno == logging.WARNING
    assert "purge of queue 'celery' by superuser (HTTP, 127.0.0.1): 1 (done)" in record.getMessage()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ids": "x"}, "ids"),
        ({"ids": [1]}, "ids"),
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"rate": -1}, "rate"),
        ({"rate": "NaN"}, "rate"),
        ({"force": "perhaps"}, "force"),
        ({"since": "soon"}, "since"),
        ({"task": ["a"]}, "task"),
        ({"dryrun": True}, "dryrun"),
        ({"rate": 0.09}, "rate"),
    ],
)
def test_http__bad_fields_send_nothing(post: Post, superuser: Client, body: Any, field: str) -> None:
    post.letter("celery")

    response = send(superuser, "celery/requeue/", body)

    assert response.status_code == 400
    assert response.json()["parameter"] == field
    assert response.json()["error"].startswith(f"Field {field!r} is ")
    assert dead_letters.sizes()["celery"] == 1


# Who may


@pytest.mark.parametrize("path", WRITE)
@pytest.mark.parametrize("rank", ["anonymous", "user", "staff"])
def test_access__writing_is_for_superusers(
    post: Post, client_of: Callable[..., Client], path: str, rank: str
) -> None:
    post.letter("celery")

    assert send(client_of(rank), path, {"force": True}).status_code == 403
    assert dead_letters.sizes()["celery"] == 1


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("rank", ["anonymous", "user"])
def test_access__reading_is_for_staff(
    post: Post, client_of: Callable[..., Client], path: str, rank: str
) -> None:
    assert client_of(rank).get(ROOT + path).status_code == 403


@pytest.mark.parametrize("path", WRITE)
def test_access__get_changes_nothing(post: Post, superuser: Client, path: str) -> None:
    post.letter("celery")

    assert superuser.get(ROOT + path).status_code == 405
    assert dead_letters.sizes()["celery"] == 1


class Token(BaseAuthentication):
    """Stands for a project's token authentication."""

    def authenticate(self, request: Any) -> Any:
        if request.META.get("HTTP_AUTHORIZATION") != "Token t":
            return None
        return get_user_model()(username="robot", is_superuser=True, is_active=True), None


def test_csrf__session_needs_the_token(post: Post, client_of: Callable[..., Client]) -> None:
    post.letter("celery")
    client = client_of("superuser", enforce_csrf_checks=True)

    assert send(client, "celery/purge/").status_code == 403
    assert dead_letters.sizes()["celery"] == 1
    client.cookies["csrftoken"] = "a" * 32
    assert send(client, "celery/purge/", **{"X-CSRFToken": "a" * 32}).status_code == 200


def test_csrf__password_that_browsers_repeat_needs_it_too(
    post: Post, client_of: Callable[..., Client]
) -> None:
    import base64

    post.letter("celery")
    client_of("superuser")
    client = Client(enforce_csrf_checks=True)
    basic = "Basic " + base64.b64encode(b"superuser:pw").decode()

    assert send(client, "celery/purge/", Authorization=basic).status_code == 403
    assert dead_letters.sizes()["celery"] == 1


def test_csrf__anyone_needs_it_too(post: Post, db: None, settings: Any) -> None:
    settings.CELERY_HEALTH = {
        **settings.CELERY_HEALTH, "PERMISSIONS": {"write": "rest_framework.permissions.AllowAny"},
    }  # fmt: skip
    post.letter("celery")

    assert send(Client(enforce_csrf_checks=True), "celery/purge/").status_code == 403
    assert dead_letters.sizes()["celery"] == 1


def test_csrf__a_token_of_its_own_is_proof(post: Post, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery_health.api.dead_letters import PurgeView

    monkeypatch.setattr(PurgeView, "authentication_classes", [Token])
    post.letter("celery")

    client = Client(enforce_csrf_checks=True)
    assert send(client, "celery/purge/", Authorization="Token t").json()["purged"] == 1


# When things go wrong


def test_http__broker_that_fails_in_the_middle(
    post: Post, superuser: Client, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """A broker cannot be made to fail at the second letter on demand: the box is made to."""
    from celery_health.dead_letters.redis_box import RedisBox

    for _ in range(3):
        post.letter("celery")
    real = RedisBox._send
    calls = []

    def fail_at_second(self: Any, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise BrokerError("Connection reset.")
        return real(self, *args)

    monkeypatch.setattr(RedisBox, "_send", fail_at_second)
    response = send(superuser, "celery/requeue/", {"force": True})

    assert response.status_code == 503
    assert response.json()["error"].startswith("Connection reset. (1 letters were sent before")
    assert response.json()["done"]["requeued"] == 1
    assert dead_letters.sizes()["celery"] == 2
    (record,) = [record for record in caplog.records if record.name == "celery_health.audit"]
    assert (record.count, record.outcome) == (1, "RequeueInterruptedError")


def test_http__transport_that_keeps_none(superuser: Client, monkeypatch: Any, make_app: Any) -> None:
    monkeypatch.setattr(letters, "find_app", lambda settings: make_app("memory://"))

    response = superuser.get(ROOT + "celery/")

    assert response.status_code == 501
    assert "memory" in response.json()["error"]
