"""Where tasks go, by the app's real router: a row is a way that real projects write it (FACTS 12)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from celery import Celery, _state
from kombu import Exchange, Queue

from celery_health.topology import TopologyCache, read_topology

# Celery 5.7 calls the attribute old; real projects use it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*'queue' task attribute")


def make(**conf: Any) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(conf)

    @app.task(name="shop.mail", shared=False)
    def mail() -> None: ...

    @app.task(name="shop.report", queue="reports", shared=False)
    def report() -> None: ...

    return app


class OldRouter:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> dict[str, str] | None:
        return {"queue": "old"} if task == "shop.mail" else None


def function_router(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **kw: Any) -> Any:
    return "function" if name == "shop.mail" else None


ROUTES = [
    # No routes: the default queue.
    ({}, "celery"),
    ({"task_default_queue": "main"}, "main"),
    # A dict, by name and by glob.
    ({"task_routes": {"shop.mail": {"queue": "mails"}}}, "mails"),
    ({"task_routes": {"shop.*": {"queue": "shop"}}}, "shop"),
    ({"task_routes": {"shop.mail": "short"}}, "short"),
    # A tuple holding a list of pairs, a compiled pattern.
    ({"task_routes": ([("shop.mail", {"queue": "pairs"})],)}, "pairs"),
    ({"task_routes": ([(re.compile(r"shop\..*"), {"queue": "regex"})],)}, "regex"),
    # Functions and classes.
    ({"task_routes": (function_router,)}, "function"),
    ({"task_routes": (OldRouter(),)}, "old"),
    # A queue of task_queues, named.
    (
        {
            "task_queues": [Queue("q", Exchange("x", "topic"), "a.#")],
            "task_routes": {"shop.mail": {"queue": "q"}},
        },
        "q",
    ),
]


@pytest.mark.parametrize(("conf", "queue"), ROUTES)
def test_topology__routes_as_the_app_does(conf: dict[str, Any], queue: str) -> None:
    topology = read_topology(make(**conf))

    assert "task:shop.mail" in topology.expected[queue]


def test_topology_cache__routes_that_celery_cannot_read_are_said() -> None:
    # A list of pairs without the tuple around it: Celery takes each pair for a router.
    cache = TopologyCache(make(task_routes=[("shop.mail", {"queue": "pairs"})]))

    assert cache.get(5.0) is None
    assert cache.error is not None


def test_topology__honours_the_tasks_own_queue() -> None:
    assert read_topology(make()).expected["reports"] == ("task:shop.report",)


def test_topology__beat_entries_expect_their_queue_even_of_celerys_own_tasks() -> None:
    topology = read_topology(
        make(
            beat_schedule={
                "clean": {"task": "celery.backend_cleanup", "schedule": 60, "options": {"queue": "cleanup"}},
                "unknown": {"task": "no.such.task", "schedule": 60},
            }
        )
    )

    assert topology.expected["cleanup"] == ("beat:clean",)
    assert "beat:unknown" in topology.expected["celery"]


def test_topology__celerys_own_tasks_expect_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Shared tasks of modules that other tests have imported would come into this app, too.
    builtins = {add for add in _state._on_app_finalizers if add.__module__ == "celery.app.builtins"}
    monkeypatch.setattr(_state, "_on_app_finalizers", builtins)
    app = Celery("empty", broker="memory://", set_as_current=False)
    topology = read_topology(app)

    assert topology.expected == {}
    assert topology.own_tasks == frozenset()
    assert topology.known_queues == ("celery",)


def test_topology__asking_declares_no_queue() -> None:
    app = make(task_routes={"shop.mail": {"queue": "mails"}})
    before = dict(app.amqp.queues)
    read_topology(app)

    assert dict(app.amqp.queues) == before


def test_topology__a_router_that_raises_is_said_and_spares_the_others() -> None:
    def broken(name: str, *args: Any, **kwargs: Any) -> None:
        if name == "shop.mail":
            raise RuntimeError("no database")

    topology = read_topology(make(task_routes=(broken,)))

    assert topology.unrouted == {"task:shop.mail": "RuntimeError: no database"}
    assert topology.expected["reports"] == ("task:shop.report",)


def test_topology__missing_queues_are_said_when_they_may_not_be_created() -> None:
    topology = read_topology(
        make(task_create_missing_queues=False, task_routes={"shop.mail": {"queue": "typo"}})
    )

    assert "typo" in topology.unrouted["task:shop.mail"]


def test_topology_cache__an_import_error_is_kept_and_raises_nothing() -> None:
    app = make(imports=["no_such_module_anywhere"])
    cache = TopologyCache(app)

    assert cache.get(5.0) is None
    assert cache.error is not None
    assert "no_such_module_anywhere" in cache.error
