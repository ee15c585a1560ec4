"""Commands that people paste."""

from __future__ import annotations

import shlex

from celery_health.text.commands import add_consumer_command, worker_command


def test_worker_command__names_its_queues_once_and_sorted() -> None:
    assert worker_command("shop", ["b", "a", "b"]) == "celery -A shop worker -Q a,b"
    assert worker_command("shop") == "celery -A shop worker"


def test_commands__what_others_chose_is_quoted() -> None:
    evil = "x; rm -rf ~"

    assert shlex.split(worker_command("shop", [evil])) == ["celery", "-A", "shop", "worker", "-Q", evil]
    assert shlex.split(add_consumer_command("shop", evil, "w@h")) == [
        "celery", "-A", "shop", "control", "-d", "w@h", "add_consumer", evil,
    ]  # fmt: skip
