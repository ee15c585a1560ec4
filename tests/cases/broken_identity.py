"""Configurations with several Celery apps, or with one that threads do not see."""

from __future__ import annotations

from typing import Any

from celery import _state

from celery_health.records import Refused, SentElsewhere
from tests.cases.support import Project, broken

#: A package with a task that asks for the current app at each call.
SHARED = "from celery import shared_task\n@shared_task\ndef pay(): ..."


def touch_current_app(p: Project) -> None:
    """Have Celery make its own app, as a first look at `current_app` does."""
    p.monkeypatch.setattr(_state, "default_app", None)
    p.later(lambda: made)
    made = _state._get_current_app()  # type: ignore[attr-defined]


@broken("W130:app:shop", fix="app.set_default() below the line that makes it in shop.")
def something_touched_current_app_before_the_app_was_made(p: Project) -> None:
    touch_current_app(p)
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])


@broken("W130:app:shop", fix="app.set_default() below the line that makes it in shop.")
def the_app_is_nobodys_default(p: Project) -> None:
    p.monkeypatch.setattr(_state, "default_app", None)  # without Django's fix-up, as in settings.configure()
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])


@broken("W130:app:shop", fix="app.set_default()")
def the_environment_names_the_broker_and_not_the_routes(p: Project) -> None:
    p.monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker.invalid/0")
    touch_current_app(p)
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"], task_default_queue="shop")


@broken("W130:app:shop", fix="app.set_default()")
def a_module_sends_by_current_app(p: Project) -> None:
    touch_current_app(p)
    p.package(
        "till",
        tasks="from shop import app\n@app.task\ndef pay(): ...",
        views="from celery import current_app\ndef view():\n    current_app.send_task('till.tasks.pay')",
    )
    p._hold_app()
    p.conf(imports=["till.tasks", "till.views"])


@broken("W131:app:billing", fix='ends with CELERY_HEALTH = {"CELERY_APP": "till.billing:billing"}')
def a_second_app_has_tasks(p: Project) -> None:
    p.health["CELERY_APP"] = "shop:app"
    p.package(
        "till",
        billing="""
            from celery import Celery
            billing = Celery("billing", broker="redis://other.invalid/0", set_as_current=False)
            @billing.task
            def bill(): ...
        """,
    )
    p.conf(imports=["till.billing"])


@broken("W131:app:billing", fix='ends with CELERY_HEALTH = {"CELERY_APP": "till.billing:billing"}')
def settings_name_other_apps_and_the_package_of_this_one(p: Project) -> None:
    p.health["CELERY_APP"] = "shop:app"
    p.package(
        "till",
        settings="""
            INSTALLED_APPS = ["till", "till.billing"]
            CELERY_HEALTH = {"CELERY_APP": "shop:app"}
        """,
        test_settings="CELERY_HEALTH = {'CELERY_APP': 'till.billing:billing'}",
        billing="""
            from celery import Celery
            billing = Celery("billing", broker="redis://other.invalid/0", set_as_current=False)
            @billing.task
            def bill(): ...
        """,
    )
    p.conf(imports=["till.billing"])


@broken("W131:app:reports", fix='Say which one the project\'s processes watch: CELERY_HEALTH = {"CELERY_APP"')
def a_second_app_discovers_shared_tasks_for_its_own_queue(p: Project) -> None:
    p.package(
        "till",
        tasks=SHARED,
        reports="""
            from celery import Celery
            app = Celery("reports", broker="redis://broker.invalid/0", set_as_current=False)
            app.conf.task_default_queue = "reports"
            app.autodiscover_tasks(["till"])
        """,
    )
    p.conf(imports=["till.tasks", "till.reports"])


@broken("W131:app:timer", fix="Say which one")
def a_second_app_has_a_schedule(p: Project) -> None:
    p.package(
        "till",
        tasks=SHARED,
        timer="""
            from celery import Celery
            app = Celery("timer", broker="redis://broker.invalid/3", set_as_current=False)
            app.conf.beat_schedule = {"pay": {"task": "till.tasks.pay", "schedule": 60}}
        """,
    )
    p.conf(imports=["till.tasks", "till.timer"])


@broken("W131:app:ledger", fix="Give the app a name in a module")
def a_task_is_made_with_an_app_that_stands_in_a_dict(p: Project) -> None:
    p.package(
        "till",
        ledger="""
            from celery import Celery
            APPS = {"ledger": Celery("ledger", broker="redis://other.invalid/0", set_as_current=False)}
            @APPS["ledger"].task(name="ledger.close")
            def close(): ...
        """,
    )
    p.tasks("till.tasks.pay")
    p.conf(imports=["till.ledger"])


# What processes told -----------------------------------------------------------------------------------


def told(p: Project, **changes: Any) -> None:
    """Have a web server's process tell of what it sent to another broker."""
    row: dict[str, Any] = {
        "process": "process 7 on web-1",
        "app": "default",
        "broker": "amqp://guest:**@localhost:5672//",
        "is_default": True,
        "is_unset": True,
        "failed": 3,
        "tasks": ("till.tasks.pay",),
        "age_seconds": 4.0,
        **changes,
    }
    p.worker(registered=frozenset({*p.app.tasks, *row["tasks"]}))
    p.snapshot(refused=Refused(elsewhere=(SentElsewhere(**row),)))


@broken("E130:app:shop", "W226:app:default", fix="app.set_default() below the line that makes it in shop")
def requests_were_sent_by_celerys_default_app(p: Project) -> None:
    touch_current_app(p)
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])
    told(p)


@broken("E130:app:shop", "W226:app:default", fix="app.set_default() below the line that makes it in shop")
def another_process_imports_other_things_than_this_one(p: Project) -> None:
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])
    told(p)


@broken("W226:app:tasks", fix="or set the broker_url of 'tasks'")
def a_module_makes_an_app_and_nobody_sets_its_broker(p: Project) -> None:
    p.tasks("till.tasks.pay")
    told(p, app="tasks", is_default=False)


@broken("W226:app:billing", fix="Send them by 'shop'; or, where workers that read from redis://other/0 are")
def own_tasks_are_sent_by_an_app_for_others(p: Project) -> None:
    p.tasks("till.tasks.pay")
    told(p, app="billing", broker="redis://other/0", is_default=False, is_unset=False, sent=3, failed=0)
