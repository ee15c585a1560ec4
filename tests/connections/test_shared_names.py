"""One name for a queue that each process names anew, and the own name for every other."""

from __future__ import annotations

import os
import socket
import uuid
from typing import Any

import pytest
from kombu import Exchange, Queue
from kombu.common import Broadcast

from celery_health.connections import shared_names
from celery_health.connections.shared_names import is_made_up, shared_name, shared_name_told

HOST = "web-7f9c"
FANOUT = Exchange("reload", type="fanout")
TOPIC = Exchange("events", type="topic")
TENANT = "0c951bba-8f5e-443f-b3ab-26a99eb27573"


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    monkeypatch.setenv("WORKER_NAME", "blue")
    monkeypatch.setenv("MAIL_QUEUE", "mail")
    shared_names._own_parts.cache_clear()
    shared_names._told_by_environment.cache_clear()


@pytest.mark.parametrize(
    ("queue", "name"),
    [
        # kombu's broadcasts: the alias, else the exchange
        (Broadcast("reload"), "reload"),
        (Broadcast("reload", queue="all"), "reload"),
        (Broadcast("reload", queue="all", unique=True), "reload"),
        (Broadcast("reload", alias="every"), "every"),
        (Broadcast(queue="all", exchange=FANOUT), "reload"),
        # one of each host or process on a fanout exchange: the exchange
        (Queue(f"reload.{HOST}", FANOUT), "reload"),
        (Queue(f"worker-{HOST}", FANOUT), "reload"),
        (Queue(HOST, FANOUT), "reload"),
        (Queue(f"reload.{os.getpid()}", FANOUT, auto_delete=True), "reload"),
        (Queue(f"x.{uuid.uuid4()}", FANOUT), "reload"),
        (Queue(f"x.{uuid.uuid4().hex}", FANOUT), "reload"),
        (Queue("reload.blue", FANOUT), "reload"),
        (Queue("reload.8a6f", FANOUT, auto_delete=True), "reload"),
        (Queue("anything", FANOUT, exclusive=True), "reload"),
        (Queue("", FANOUT), "reload"),
        (Queue("amq.gen-Xa12", FANOUT), "reload"),
        # one of each host elsewhere: what is left of its name
        (Queue(f"cache.{HOST}", TOPIC, routing_key="cache.#"), "cache"),
        (Queue(f"cache.{uuid.uuid4()}", auto_delete=True), "cache"),
        (Queue(f"celery@{HOST}.dq2", Exchange("C.dq2"), auto_delete=True), "celery.dq2"),
        # queues of their own
        (Queue("celery"), "celery"),
        (Queue("real", alias="short"), "real"),
        (Queue("orders.mail", Exchange("orders", type="fanout")), "orders.mail"),
        (Queue("mail", FANOUT, auto_delete=True), "mail"),
        (Queue("reload.mail", FANOUT), "reload.mail"),
        (Queue(f"tenant.{TENANT}"), f"tenant.{TENANT}"),
        (Queue(f"tenant.{TENANT}", TOPIC), f"tenant.{TENANT}"),
        (Queue(f"files.{HOST}"), f"files.{HOST}"),
        (Queue("only", exclusive=True), "only"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_name__is_one_for_all_processes_and_no_more(queue: Any, name: str) -> None:
    assert shared_name(queue) == name


def test_name__of_a_host_that_is_called_by_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "media")
    shared_names._own_parts.cache_clear()

    assert shared_name(Queue("media.cut", TOPIC)) == "media.cut"
    assert shared_name(Queue("media.cut", FANOUT)) == "media.cut"
    assert shared_name(Queue("reload.media", FANOUT)) == "reload"


@pytest.mark.parametrize(
    ("queue", "name"),
    [
        (Broadcast("reload"), "reload"),
        (Broadcast("reload", queue="all"), "reload"),
        (Queue("reload.db-2", FANOUT), "reload"),
        (Queue("celery", Exchange("celery")), "celery"),
    ],
    ids=["broadcast", "named", "host", "plain"],
)
def test_name__of_another_host_as_its_worker_tells(queue: Any, name: str) -> None:
    assert shared_name_told(queue.as_dict(recurse=True), "w1@db-2") == name


def test_made_up__is_what_kombu_and_brokers_do() -> None:
    assert [is_made_up(n) for n in (Broadcast("x").name, "amq.gen-1", "", "bcast.all", "celery")] == [
        True, True, True, False, False,
    ]  # fmt: skip
