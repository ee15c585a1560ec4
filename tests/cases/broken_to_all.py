"""Broadcasts that reach nobody: each way of sending to one on Redis that was tried and lost its messages."""

from __future__ import annotations

import importlib
import socket

from celery import Celery, _state
from kombu import Exchange, Queue
from kombu.common import Broadcast

from tests.cases.support import Project, broken

HOST = socket.gethostname()
RELOAD = Exchange("reload", type="fanout")
FIX = "'declare': [Exchange('reload', type='fanout')]"
LIST = "bcast.05515227-42d0-455d-bfa1-c674a3b57c6c"
OLD = "bcast.0c951bba-8f5e-443f-b3ab-26a99eb27573"


@broken("W129:queue:reload", fix=f"= {{'shop.reload': {{'queue': 'reload', {FIX}}}}}")
def a_route_names_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")], task_routes={"shop.reload": {"queue": "reload"}}
    )


@broken("W129:queue:reload", fix=f"{{'queue': 'reload', {FIX}, 'priority': 3}}")
def a_pattern_leads_several_tasks_to_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload", "shop.flush")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")],
        task_routes=([("shop.*", {"queue": "reload", "priority": 3})],),
    )


@broken("W129:queue:reload", fix=f"{{'queue': 'reload', {FIX}}}")
def a_route_names_queue_and_exchange_of_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")],
        task_routes={"shop.reload": {"queue": "reload", "exchange": "reload"}},
    )


@broken("W129:queue:reload", fix=f"{{'queue': 'reload', {FIX}}}")
def a_route_names_the_exchange_of_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")],
        task_routes={"shop.reload": {"exchange": "reload", "routing_key": "celery"}},
    )


@broken("W129:queue:reload", fix=f"{{'queue': 'reload', {FIX}}}")
def a_route_brings_a_broadcast_along(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")],
        task_routes={"shop.reload": {"queue": Broadcast("reload")}},
    )


@broken("W129:queue:reload", "I319:setting:task_routes", fix=f"{{'queue': 'reload', {FIX}}}")
def a_task_names_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload", queue="reload")
    p.conf(task_queues=[Queue("celery"), Broadcast("reload")])


@broken("W129:queue:reload", fix=f"{{'shop.reload': {{{FIX}}}}}")
def an_entry_names_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(task_queues=[Queue("celery"), Broadcast("reload", queue="reload.all")])
    p.beat("shop.reload", "nightly", options={"queue": "reload"})


@broken("W129:queue:reload", fix=f"{{'shop.reload': {{{FIX}}}}}")
def an_entry_names_the_exchange_of_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(task_queues=[Queue("celery"), Broadcast("reload")])
    p.beat("shop.reload", "nightly", options={"exchange": "reload", "routing_key": "celery"})


@broken(
    "W129:queue:all",
    "I302:queue:reload",
    fix="{'queue': 'all', 'declare': [Exchange('reload', type='fanout')]}",
)
def a_route_names_the_exchange_of_a_broadcast_as_its_queue(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload", alias="all")],
        task_routes={"shop.reload": {"queue": "reload"}},
    )


@broken("W129:queue:reload", fix=f"{{'exchange': 'reload', 'routing_key': 'celery', {FIX}}}")
def a_route_names_what_queues_of_hosts_have_in_common(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Queue(f"reload.{HOST}", RELOAD, auto_delete=True)],
        task_routes={"shop.reload": {"queue": "reload"}},
    )


@broken("W129:queue:reload", fix=f"{{'exchange': 'reload', 'routing_key': 'all', {FIX}}}")
def a_routing_key_is_not_that_of_the_queues(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Queue(f"reload.{HOST}", RELOAD, routing_key="all", auto_delete=True)],
        task_routes={"shop.reload": {"queue": f"reload.{HOST}", "routing_key": "now"}},
    )


@broken("W129:queue:reload", fix=f"{{'shop_code.tasks.reload': {{{FIX}}}}}")
def a_call_names_a_broadcast(p: Project) -> None:
    p.conf(task_queues=[Queue("celery"), Broadcast("reload")])
    p.package(
        "shop_code",
        tasks="""
            from celery import shared_task

            @shared_task
            def reload(): ...
        """,
        views="""
            from shop_code.tasks import reload

            def view(request):
                reload.apply_async(queue="reload")
                reload.si().set(queue="reload").delay()
        """,
    )
    importlib.import_module("shop_code.views")


@broken("W129:queue:reload", fix=f"{{'shop_code.tasks.reload': {{{FIX}}}}}")
def a_call_names_a_broadcast_and_another_app_is_the_current_one(p: Project) -> None:
    a_call_names_a_broadcast(p)
    # One that is ready takes no task from then on, and knows no shared one.
    other = Celery("other", set_as_current=False)
    p.monkeypatch.setattr(other, "finalized", True)
    p.monkeypatch.setattr(_state._tls, "current_app", other, raising=False)  # type: ignore[attr-defined]


@broken("E129:queue:reload", fix=f"{{'queue': 'reload', {FIX}}}")
def messages_lie_in_the_list_of_a_live_worker(p: Project) -> None:
    a_route_names_a_broadcast(p)
    p.worker("w1@host", ["celery", "reload"], names_on_broker={"reload": (LIST,)})
    p.queue("reload", ready=7)
    p.live(broadcast_lists={"reload": {LIST: 7}})


@broken("W225:queue:reload", fix=f"purge -Q {OLD}")
def messages_lie_in_the_list_of_a_worker_that_is_gone(p: Project) -> None:
    p.tasks("shop.clean")
    p.conf(task_queues=[Queue("celery"), Broadcast("reload")])
    p.worker("w1@host", ["celery", "reload"], names_on_broker={"reload": (LIST,)})
    p.live(broadcast_lists={"reload": {OLD: 7}})


@broken("W127:route:shop.reload", fix=f"Write {{'queue': 'reload', {FIX}}}")
def a_route_names_the_exchange_of_a_broadcast_alone(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")],
        task_routes={"shop.reload": {"exchange": "reload"}},
    )


@broken("W127:beat_entry:nightly", fix=f"Write {{'queue': 'reload', {FIX}}}")
def an_entry_names_the_exchange_of_a_broadcast_alone(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(task_queues=[Queue("celery"), Broadcast("reload")])
    p.beat("shop.reload", "nightly", options={"exchange": "reload"})


@broken("E104:queue:reload", fix="Start a worker for it: ")
def nobody_takes_part_in_a_broadcast(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Broadcast("reload")],
        task_routes={"shop.reload": {"queue": "reload", "declare": [RELOAD]}},
    )
    p.worker("w1@host", ["celery"])


@broken("E104:queue:reload", fix="Start a worker of all queues: ")
def nobody_consumes_the_queues_of_hosts(p: Project) -> None:
    p.tasks("shop.reload")
    p.conf(
        task_queues=[Queue("celery"), Queue(f"reload.{HOST}", RELOAD, auto_delete=True)],
        task_routes={"shop.reload": {"queue": f"reload.{HOST}"}},
    )
    p.worker("w1@host", ["celery"])
