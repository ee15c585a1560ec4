"""Broadcasts that reach all workers: each way of sending to one that was tried and worked."""

from __future__ import annotations

import socket

from kombu import Exchange, Queue
from kombu.common import Broadcast

from tests.cases.broken_to_all import LIST
from tests.cases.support import Project, sound

HOST = socket.gethostname()
RELOAD = Exchange("reload", type="fanout")
NEAR = ("broadcast-misrouted", "message-unbound", "exchange-undeclared")


@sound(*NEAR)
def a_route_declares_the_exchange_of_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")],
        task_routes={"shop.reload": {"queue": "reload", "declare": [RELOAD]}},
    )


@sound(*NEAR)
def an_entry_declares_it(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(task_queues=[Queue("celery"), Broadcast("reload")])
    p.beat("shop.reload", "nightly", options={"queue": "reload", "declare": [RELOAD]})


@sound(*NEAR)
def a_broadcast_on_rabbitmq(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    p.tasks("shop.reload", "shop.flush")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload"), Broadcast("flush")],
        task_routes={
            "shop.reload": {"queue": "reload"},
            "shop.flush": {"exchange": "flush", "routing_key": "any"},
        },
    )


@sound(*NEAR)
def a_broadcast_that_nothing_is_sent_to_from_here(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(task_queues=[Queue("celery"), Broadcast("reload")])


@sound(*NEAR)
def a_queue_of_each_host_takes_all_of_a_fanout_exchange(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Queue(f"reload.{HOST}", RELOAD, auto_delete=True)],
        task_routes={"shop.reload": {"queue": f"reload.{HOST}"}},
    )
    p.worker("w1@host", ["celery", "reload"], names_on_broker={"reload": (f"reload.{HOST}",)})
    p.worker("w2@other", ["celery", "reload"], names_on_broker={"reload": ("reload.other",)})


@sound(*NEAR)
def one_queue_of_a_fanout_exchange(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Queue("reload", RELOAD)],
        task_routes={"shop.reload": {"queue": "reload"}},
    )


@sound(*NEAR)
def two_queues_of_a_fanout_exchange(p: Project) -> None:
    p.tasks("shop.order")
    orders = Exchange("orders", type="fanout")
    p.conf(
        task_queues=[Queue("celery"), Queue("orders.mail", orders), Queue("orders.audit", orders)],
        task_routes={"shop.order": {"queue": "orders.mail"}},
    )


@sound(*NEAR)
def a_broadcast_bound_to_a_topic_exchange(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[
            Queue("celery"),
            Broadcast("reload", exchange=Exchange("events", type="topic"), routing_key="reload"),
        ],
        task_routes={"shop.reload": {"queue": "reload"}},
    )


@sound("broadcast-leftover", "queue-abandoned")
def what_waits_for_a_live_worker_in_its_list(p: Project) -> None:
    a_broadcast_bound_to_a_topic_exchange(p)
    p.worker("w1@host", ["celery", "reload"], names_on_broker={"reload": (LIST,)})
    p.live(broadcast_lists={"events": {LIST: 3}})


@sound("configuration-skew", "queue-unconsumed")
def workers_take_part_in_a_broadcast(p: Project) -> None:
    a_route_declares_the_exchange_of_a_broadcast(p)
    for host in ("w1@host", "w2@host"):
        p.worker(host, ["celery", "reload"], names_on_broker={"reload": (f"bcast.{host}",)})
