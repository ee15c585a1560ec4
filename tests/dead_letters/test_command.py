"""`celery_health dead-letters`: what it prints, refuses and returns."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from celery_health import dead_letters
from tests.dead_letters.conftest import Post


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """On Redis alone: what brokers do differently is shown in `test_letters`."""
    return redis_url


class Ran:
    """A run of the command in this process."""

    def __init__(self, *args: str) -> None:
        out = io.StringIO()
        self.status, self.error = 0, ""
        try:
            call_command("celery_health", "dead-letters", *args, stdout=out)
        except SystemExit as end:
            assert isinstance(end.code, int)
            self.status = end.code
        except CommandError as error:
            self.status, self.error = error.returncode, str(error)
        self.out = out.getvalue()


def test_list__sizes(post: Post) -> None:
    post.letter("celery")
    post.letter("emails")
    post.letter("emails")

    ran = Ran("list")

    assert ran.status == 0
    assert ran.out == "  queue   dead letters\n  celery             1\n  emails             2\n"


def test_list__letters(post: Post) -> None:
    for name in "abc":
        post.letter("celery", task=f"shop.{name}")
    letters = dead_letters.entries("celery").letters

    ran = Ran("list", "celery", "--limit", "2")

    lines = ran.out.splitlines()
    assert lines[0] == "Queue celery: 3 dead letters."
    assert lines[1].split() == ["id", "failed", "(UTC)", "task", "exception", "attempts", "message"]
    assert [line.split()[0] for line in lines[2:4]] == [letter.id for letter in letters[:2]]
    assert "shop.a  Boom              1  failed as told" in lines[2]
    assert lines[4:] == ["There are more: --offset 2"]


def test_list__chosen(post: Post) -> None:
    for name in "aba":
        post.letter("celery", task=name)

    def count(*options: str) -> int:
        return len(json.loads(Ran("list", "celery", "--json", *options).out)["letters"])

    assert count("--task", "a") == 2
    assert count("--task", "a", "--offset", "1") == 1
    assert count("--exception", "ValueError") == 0
    assert (count("--since", "2h"), count("--until", "2h")) == (3, 0)
    assert Ran("list", "celery", "--task", "z").out.splitlines()[1:] == [
        "  None of those looked at is meant."
    ]


def test_show(post: Post) -> None:
    task_id = post.letter("celery", task="shop.pay")

    ran = Ran("show", "celery", task_id)

    assert ran.status == 0
    assert f"task id       {task_id}\n" in ran.out
    assert "message       failed as told\n" in ran.out
    assert "\n  Traceback (most recent call last):\n  Boom: failed as told\n" in ran.out
    assert "args          not shown" in ran.out
    missing = Ran("show", "celery", "x")
    assert (missing.status, missing.out) == (1, "No dead letter of queue 'celery' has the id 'x'.\n")
    assert json.loads(Ran("show", "celery", task_id, "--json").out)["task_id"] == task_id


def test_requeue(post: Post, caplog: Any) -> None:
    ids = [post.letter("celery") for _ in range(4)]

    refused = Ran("requeue", "celery")
    assert refused.status == 1
    assert refused.out.startswith("Nobody consumes queue 'celery'")
    assert dead_letters.sizes()["celery"] == 4
    caplog.clear()

    dry = Ran("requeue", "celery", "--dry-run")
    assert (dry.status, dry.out) == (0, "Would send 4 letters to queue celery.\n4 remain.\n")
    assert caplog.records == []

    with caplog.at_level(logging.WARNING):
        ran = Ran("requeue", "celery", ids[0], "x", "--force")
    assert ran.status == 1
    assert ran.out == "Sent 1 letter to queue celery.\nNo such letter: x\n3 remain.\n"
    (record,) = caplog.records
    assert record.name == "celery_health.audit"
    assert "(command line): 1 (done)." in record.getMessage()

    assert Ran("requeue", "celery", "--limit", "2", "--force", "--rate", "100").out.startswith(
        "Sent 2 letters"
    )
    body = json.loads(Ran("requeue", "celery", "--force", "--json").out)
    assert (body["requeued"], body["remaining"], body["finished"]) == (1, 0, True)
    assert post.ready("celery") == 4


def test_purge__asks(post: Post, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    post.letter("celery")
    monkeypatch.setattr("builtins.input", lambda: "celer")

    ran = Ran("purge", "celery")
    assert ran.status == 1
    assert ran.out == (
        "This removes 1 dead letters of queue celery for good.\n"
        "Type the queue's name to go on:\nNothing was purged.\n"
    )
    assert dead_letters.sizes()["celery"] == 1
    assert Ran("purge", "celery", "--dry-run").out == "Would purge 1 dead letters of queue celery.\n"

    monkeypatch.setattr("builtins.input", lambda: "celery")
    ran = Ran("purge", "celery")
    assert ran.status == 0
    assert ran.out.endswith("Purged 1 dead letters of queue celery.\n")
    assert dead_letters.sizes()["celery"] == 0
    assert "purge of queue 'celery'" in caplog.text


def test_purge__nobody_there_to_ask(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise EOFError

    post.letter("celery")
    monkeypatch.setattr("builtins.input", nobody)

    ran = Ran("purge", "celery")

    assert ran.status == 2
    assert "give --yes" in ran.error
    assert dead_letters.sizes()["celery"] == 1
    assert json.loads(Ran("purge", "celery", "--yes", "--json").out) == {
        "queue": "celery",
        "purged": 1,
        "dry_run": False,
    }


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["drop", "celery"], "dead-letters 'drop': give one of list, show, requeue, purge, set-aside."),
        (["show"], "show needs a queue: dead-letters show QUEUE."),
        (["show", "celery"], "show takes a queue and one id"),
        (["list", "celery", "x"], "list takes a queue and no ids"),
        (["list", "--task", "x"], "--task needs a queue"),
        (["purge", "celery", "x"], "purge takes a queue and no ids"),
        (["purge", "celery", "--json"], "purge --json asks nothing: give --yes as well."),
        (["purge", "celery", "--task", "x"], "--task does not belong to purge. Leave it out."),
        (["list", "celery", "--force"], "--force does not belong to list. Leave it out."),
        (["list", "celery", "--dry-run"], "--dry-run does not belong to list. Leave it out."),
        (["list", "celery", "--limit", "0"], "--limit is '0': give a whole number from 1 to 10000."),
        (["list", "celery", "--since", "soon"], "--since is 'soon': Give a time"),
        (["requeue", "celery", "--timeout", "0"], "--timeout is '0': give seconds from 0.01 to 86400"),
        (["purge", "celery", "--timeout", "5"], "--timeout does not belong to purge. Leave it out."),
        (["requeue", "celery", "--rate", "nan"], "--rate is 'nan': give letters per second"),
    ],
)
def test_usage(post: Post, args: list[str], error: str) -> None:
    ran = Ran(*args)

    assert ran.status == 2
    assert error in ran.error
    assert ran.out == ""


def test_requeue__with_a_time_says_what_is_left(post: Post) -> None:
    for _ in range(3):
        post.letter("celery")

    ran = Ran("requeue", "celery", "--force", "--rate", "0.01", "--timeout", "5")

    assert ran.status == 1
    assert ran.out == (
        "Sent 1 letter to queue celery.\n"
        "The time was up before every letter was looked at. Ask again for the rest.\n"
        "2 remain.\n"
    )
