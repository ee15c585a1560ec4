"""What changes something: nobody's body is trusted, and only what is plainly asked for is done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from rest_framework.authentication import BaseAuthentication

from celery_health.api import dead_letters as views
from celery_health.api.bodies import MAX_BODY_BYTES
from celery_health.dead_letters.records import Requeued
from tests.api.conftest import PREFIX
from tests.support.processes import ROOT

PURGE = "dead-letters/celery/purge/"
REQUEUE = "dead-letters/celery/requeue/"
REQUEUE_ONE = "dead-letters/celery/x/requeue/"
PATHS = (PURGE, REQUEUE, REQUEUE_ONE)
TOKEN = "a" * 32
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
DEEP = b"[" * 100_000
BIG = b"[" + b"[1]," * 500_000 + b"1]"


class Broker:
    """Stands for the broker, which is not what these tests are about: what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    def purge(self, queue: str) -> int:
        self.done.append(("purge", queue))
        return 1

    def requeue(self, queue: str, ids: Any = None, **chosen: Any) -> Requeued:
        self.done.append(("requeue", queue, ids, chosen))
        return Requeued(
            queue=queue, requeued=1, expired=0, unsendable=0, gone=0, remaining=0, looked_at=1,
            complete=True, finished=True, not_found=(), dry_run=chosen["dry_run"],
        )  # fmt: skip


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    fake = Broker()
    monkeypatch.setattr(views.letters, "purge", fake.purge)
    monkeypatch.setattr(views.letters, "requeue", fake.requeue)
    monkeypatch.setattr(views.letters, "entry", lambda queue, letter: None)
    return fake


@pytest.fixture
def superuser(client_of: Callable[[str], Client]) -> Client:
    """A superuser whose cookies and header are right, as Django's own check sees it."""
    found = client_of("superuser")
    client = Client(enforce_csrf_checks=True, headers={"X-CSRFToken": TOKEN}, raise_request_exception=False)
    client.cookies = found.cookies
    client.cookies["csrftoken"] = TOKEN
    return client


def strangers() -> list[Any]:
    """Return clients who may do nothing here: with and without a cookie that looks like CSRF's."""
    plain = Client(enforce_csrf_checks=True, raise_request_exception=False)
    cookie = Client(enforce_csrf_checks=True, raise_request_exception=False)
    cookie.cookies["csrftoken"] = TOKEN
    return [plain, cookie]


# Who has no permission is told so, whatever was sent


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [DEEP, b'{"a":' * 50_000, b"{", b"\xff", b'"\\ud800"', b"NaN", BIG])
def test_body__of_strangers_is_not_looked_at(broker: Broker, db: None, path: str, body: bytes) -> None:
    for client in strangers():
        response = client.post(PREFIX + path, body, content_type=JSON)

        assert response.status_code == 403, response.content[:200]
        assert "detail" in response.json()
    assert broker.done == []


@pytest.mark.parametrize("rank", ["user", "staff"])
def test_body__of_people_without_permission_is_not_looked_at(
    broker: Broker, client_of: Callable[[str], Client], superuser: Client, rank: str
) -> None:
    superuser.cookies = client_of(rank).cookies
    superuser.cookies["csrftoken"] = TOKEN
    for headers in ({}, {"X-CSRFToken": "b" * 32}):
        response = superuser.post(PREFIX + PURGE, DEEP, content_type=JSON, headers=headers)
        assert response.status_code == 403, response.content[:200]


def test_body__of_strangers_takes_no_memory() -> None:
    # A process of its own: another test's garbage would count.
    program = f"""
import os, tracemalloc
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.project.settings"
import django; django.setup()
from django.test import Client
client = Client(enforce_csrf_checks=True)
client.cookies["csrftoken"] = {TOKEN!r}
def send(body):
    status = client.post({PREFIX + PURGE!r}, body, content_type={JSON!r}).status_code
    assert status == 403, status
send(b"{{}}")
body = b"[" + b"[1]," * 500_000 + b"1]"
tracemalloc.start()
send(body)
print(tracemalloc.get_traced_memory()[1])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert ran.returncode == 0, ran.stderr
    # The test client itself copies what it sends, 2 MB.
    assert int(ran.stdout) < 6_000_000


@pytest.mark.parametrize("text", ["b'a'", r"b'\\n'", "b'[]'"])
def test_body__of_one_long_text_takes_little_memory(text: str) -> None:
    # The peak of the process: what `re` takes for itself is in no trace.
    program = f"""
import os, resource
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.project.settings"
import django; django.setup()
from celery_health.api.bodies import MAX_BODY_BYTES, parse_json
def peak_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
text = {text}
body = b'{{"task":"' + text * ((MAX_BODY_BYTES - 20) // len(text)) + b'"}}'
parse_json(b"{{}}")
before = peak_kb()
parse_json(body)
print(peak_kb() - before)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert ran.returncode == 0, ran.stderr
    # What it holds, and the copies on the way there. macOS counts in bytes.
    assert int(ran.stdout) < 10_000 * (1024 if sys.platform == "darwin" else 1)


# CSRF: the token of a form may stand in it, that of JSON is a header


def test_csrf__of_json_is_a_header(broker: Broker, superuser: Client) -> None:
    body = {"csrfmiddlewaretoken": TOKEN, "dry_run": False}

    refused = superuser.post(PREFIX + PURGE, body, content_type=JSON, headers={"X-CSRFToken": ""})
    assert refused.status_code == 403
    assert broker.done == []
    assert superuser.post(PREFIX + PURGE, {}, content_type=JSON).status_code == 200


def test_csrf__of_a_form_may_stand_in_it(broker: Broker, superuser: Client) -> None:
    body = f"csrfmiddlewaretoken={TOKEN}&dry_run=no"
    headers = {"X-CSRFToken": ""}

    assert superuser.post(PREFIX + PURGE, body, content_type=FORM, headers=headers).status_code == 200
    body = f"csrfmiddlewaretoken={'b' * 32}"
    assert superuser.post(PREFIX + PURGE, body, content_type=FORM, headers=headers).status_code == 403
    assert broker.done == [("purge", "celery")]


class Token(BaseAuthentication):
    """Stands for a project's token authentication that looks into the body, and takes what it finds."""

    def authenticate(self, request: Any) -> Any:
        with suppress(Exception):
            request.data  # noqa: B018
        return get_user_model()(username="robot", is_superuser=True, is_active=True), None


def test_body__that_somebody_else_found_wrong_is_still_wrong(
    broker: Broker, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views.PurgeView, "authentication_classes", [Token])
    client = Client(headers={"Authorization": "Token t"}, raise_request_exception=False)

    for body in (b'{"dry_run": true', DEEP, b"x" * (MAX_BODY_BYTES + 1)):
        assert client.post(PREFIX + PURGE, body, content_type=JSON).status_code in (400, 413)
    assert client.post(PREFIX + PURGE, {"dry_run": False}, content_type=JSON).status_code == 200
    assert broker.done == [("purge", "celery")]


# Who may is told what is wrong with it

BODIES: list[tuple[Any, ...]] = [
    # body, content type, status, in the fix
    (DEEP, JSON, 400, "nested"),
    (b'{"a":' * 50_000, JSON, 400, "nested"),
    (b'{"ids": [["a"]]}', JSON, 400, "nested"),
    (b'{"ids": [' + b"[]," * 1000 + b'"a"]}', JSON, 400, "nested"),
    (BIG, JSON, 413, "at most 1,048,576 bytes"),
    (b'{"task": "' + b"x" * MAX_BODY_BYTES + b'"}', JSON, 413, "at most 1,048,576 bytes"),
    (b"a=" + b"x" * MAX_BODY_BYTES, FORM, 413, "at most 1,048,576 bytes"),
    (b"{", JSON, 400, "JSON"),
    (b"{}{}", JSON, 400, "JSON"),
    (b"   ", JSON, 400, "JSON"),
    (b'{"dry_run": NaN}', JSON, 400, "JSON"),
    (b'{"rate": Infinity}', JSON, 400, "JSON"),
    (b'{"limit": ' + b"9" * 5000 + b"}", JSON, 400, "JSON"),
    (b"\xff\xfe{}", JSON, 400, "UTF-8"),
    ('{"task": "ü"}'.encode("latin-1"), JSON + "; charset=latin-1", 400, "UTF-8"),
    (b"{}", JSON + "; charset=bz2_codec", 200, ""),
    (b"null", JSON, 400, "object"),
    (b"[1]", JSON, 400, "object"),
    (b'"x"', JSON, 400, "object"),
    (b'{"dry_run": true, "dry_run": false}', JSON, 400, "once"),
    (b'{"dryrun": true}', JSON, 400, "'dry_run'"),
    (b'{"\\ud800": true}', JSON, 400, "known"),
    (b"dry_run=yes&dry_run=no", FORM, 400, "once"),
    (b"dry_run=", FORM, 400, "true or false"),
    (b'{"dry_run": true}', FORM, 400, "none of that name"),
    (b"&".join(b"a%d=1" % n for n in range(2000)), FORM, 400, "fields"),
    (b'{"dry_run": true}', "text/plain", 415, JSON),
    (b'{"dry_run": true}', "", 415, JSON),
    (b"--x\r\n\r\n", "multipart/form-data; boundary=x", 415, JSON),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("body", "kind", "status", "fix"), BODIES)
def test_body__that_is_wrong_does_nothing(
    broker: Broker, superuser: Client, path: str, body: bytes, kind: str, status: int, fix: str
) -> None:
    response = superuser.generic("POST", PREFIX + path, body, content_type=kind)

    answer = response.json()
    assert response.status_code == status, response.content[:300]
    if status != 200:
        assert set(answer) == {"error", "parameter", "value", "fix"}
        assert fix in answer["fix"]
        assert answer["fix"] in answer["error"]
        assert len(response.content) < 1000
        assert broker.done == []


@pytest.mark.parametrize("length", ["", "abc", "-1"])
def test_body__of_unknown_length_is_refused(broker: Broker, superuser: Client, length: str) -> None:
    """Django reads no body without a length: one that says ``dry_run`` would be taken for none."""
    body = b'{"dry_run": true}'
    extra = {"HTTP_TRANSFER_ENCODING": "chunked"} if not length else {}
    response = superuser.post(PREFIX + PURGE, body, content_type=JSON, CONTENT_LENGTH=length, **extra)

    assert response.status_code == 411
    assert "Content-Length" in response.json()["fix"]
    assert broker.done == []


def test_body__that_is_empty_means_all(broker: Broker, superuser: Client) -> None:
    for kind in (JSON, FORM):
        assert superuser.post(PREFIX + PURGE, b"", content_type=kind).status_code == 200
    assert broker.done == [("purge", "celery")] * 2


def test_body__within_its_bounds_is_taken(broker: Broker, superuser: Client) -> None:
    ids = [f"{n:036d}[{{" for n in range(10_000)]
    response = superuser.post(PREFIX + REQUEUE, {"ids": ids, "rate": 1e3}, content_type=JSON)

    assert response.status_code == 200, response.content[:300]
    ((_, _, given, chosen),) = broker.done
    assert given == ids
    assert chosen["rate"] == 1000


# Each field takes what it is for

WRONG: dict[str, list[Any]] = {
    "flag": [None, [], ["true"], {}, "maybe", "", 1.5, 2, -1, 10**400],
    "text": [None, [], ["a"], {}, "", 1, 1.5, True],
    "moment": [None, [], "", "maybe", "nan", "-1h", 5, 1.5, "9" * 5000, "0000-00-00"],
    "whole": [None, [], {}, "maybe", "", True, 1.5, 5.0, 0, -1, 10_001, 10**400, "１", "1_0", " 5"],
    "number": [None, [], {}, "maybe", "", True, 0, -1, 1e7, 10**400, "1_0", "５", " 5", "nan", "inf"],
    "texts": [None, {}, "a", "", 1, 1.5, [1], [None], [""], ["x"] * 10_001],
}
FIELDS = {
    PURGE: {"dry_run": "flag"},
    REQUEUE: {
        "ids": "texts", "task": "text", "exception": "text", "since": "moment", "until": "moment",
        "limit": "whole", "rate": "number", "dry_run": "flag", "force": "flag",
    },
    REQUEUE_ONE: {"dry_run": "flag", "force": "flag"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "field", "kind"), [(path, *each) for path in FIELDS for each in FIELDS[path].items()]
)
def test_field__that_is_wrong_does_nothing(
    broker: Broker, superuser: Client, path: str, field: str, kind: str
) -> None:
    for value in WRONG[kind]:
        response = superuser.post(PREFIX + path, {field: value}, content_type=JSON)
        assert response.status_code == 400, (value, response.content[:300])
        answer = response.json()
        assert answer["parameter"] == field or "nested" in answer["fix"]
        assert "Give " in answer["fix"], answer
    assert broker.done == []


@pytest.mark.parametrize("value", [True, 1, "1", "yes", "true", "On"])
def test_field__yes(broker: Broker, superuser: Client, value: Any) -> None:
    response = superuser.post(PREFIX + REQUEUE, {"dry_run": value}, content_type=JSON)

    assert response.json()["dry_run"] is True


@pytest.mark.parametrize("path", ["tasks/", "queues/", "dead-letters/celery/", "health/", "ready/"])
def test_query__that_is_wrong_is_refused(staff: Client, celery: Any, path: str) -> None:
    parameters = {
        "tasks/": {"limit": "whole", "task": "name", "worker": "name"},
        "queues/": {"limit": "whole", "queue": "name"},
        "dead-letters/celery/": {
            "limit": "whole", "offset": "offset", "task": "name", "since": "moment", "until": "moment",
        },
        "health/": {"strict": "flag"},
        "ready/": {"strict": "flag"},
    }[path]  # fmt: skip
    wrong = {
        "whole": [
            "null",
            "[]",
            "maybe",
            "1.5",
            "NaN",
            "9" * 400,
            "",
            "0",
            "-1",
            "1_0",
            "１",
            " 5",
            "5&limit=5",
        ],
        "offset": ["null", "maybe", "1.5", "NaN", "9" * 400, "", "-1"],
        "flag": ["null", "[]", "maybe", "1.5", "NaN", "9" * 400, "", "1&strict=0"],
        "moment": ["null", "[]", "maybe", "1.5", "NaN", "9" * 400, "", "-1h"],
        "name": [""],
    }
    for name, kind in parameters.items():
        for value in wrong[kind]:
            response = staff.get(f"{PREFIX}{path}?{name}={value}")
            assert response.status_code == 400, (name, value, response.content[:200])
            assert response.json()["parameter"] == name


def test_browsable__answers_errors_too(broker: Broker, superuser: Client) -> None:
    for body, status in ((b"{", 400), (b"dry_run=yes", 400), (b"{}", 200)):
        response = superuser.post(PREFIX + PURGE, body, content_type=JSON, headers={"Accept": "text/html"})
        assert (response.status_code, response["Content-Type"][:9]) == (status, "text/html")
