"""Configurations with several Celery apps, or with an odd one, that lose nothing."""

from __future__ import annotations

from celery import Celery

from tests.cases.broken_identity import SHARED, told, touch_current_app
from tests.cases.support import Project, sound


@sound("current-app-differs")
def shared_tasks_find_the_app_in_every_thread(p: Project) -> None:
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])


@sound("current-app-differs")
def every_task_is_bound_to_the_app(p: Project) -> None:
    touch_current_app(p)
    p.tasks("till.tasks.pay")


@sound("current-app-differs")
def the_default_app_was_touched_and_then_replaced(p: Project) -> None:
    touch_current_app(p)
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])
    p.app.set_default()


@sound("current-app-differs")
def the_environment_names_one_broker_for_all(p: Project) -> None:
    p.monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker.invalid/0")
    touch_current_app(p)
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])


@sound("current-app-differs")
def a_local_rabbitmq_is_the_default_apps_too(p: Project) -> None:
    p.broker("amqp://guest:guest@127.0.0.1:5672//")
    touch_current_app(p)
    p.package("till", tasks=SHARED)
    p.conf(imports=["till.tasks"])


@sound("current-app-differs")
def only_a_library_has_shared_tasks(p: Project) -> None:
    touch_current_app(p)
    p.distribution("libtasks", tasks=SHARED)
    p.tasks("till.tasks.pay")


@sound("app-unwatched")
def an_app_of_the_tests(p: Project) -> None:
    p.package(
        "till",
        tasks=SHARED,
        test_till="""
            from celery import Celery
            app = Celery("trial", set_as_current=False)
            @app.task
            def pay(): ...
        """,
    )
    p.conf(imports=["till.tasks", "till.test_till"])


@sound("app-unwatched")
def an_app_that_sends_to_the_workers_of_others(p: Project) -> None:
    p.package(
        "till",
        tasks=SHARED,
        warehouse="""
            from celery import Celery
            warehouse = Celery("warehouse", broker="redis://other.invalid/0", set_as_current=False)
        """,
    )
    p.conf(imports=["till.tasks", "till.warehouse"])


@sound("app-unwatched")
def a_librarys_own_app(p: Project) -> None:
    p.distribution(
        "libapp",
        tasks="""
            from celery import Celery
            app = Celery("lib", set_as_current=False, include=["libapp.tasks"])
        """,
    )
    p.package("till", tasks=SHARED, views="from libapp.tasks import app as lib")
    p.conf(imports=["till.tasks", "till.views"])


@sound("app-unwatched")
def a_second_name_for_the_same_app(p: Project) -> None:
    p.package("till", tasks="from shop import app\ncelery = app\n@celery.task\ndef pay(): ...")
    p._hold_app()
    p.conf(imports=["till.tasks"])


@sound("app-unwatched")
def a_second_app_with_the_same_broker_routes_and_tasks(p: Project) -> None:
    p.package(
        "till",
        tasks="""
            from celery import Celery
            worker = Celery("shop2", broker="redis://broker.invalid/0", set_as_current=False)
            worker.autodiscover_tasks(["till"])
            @worker.task
            def pay(): ...
        """,
    )
    p.conf(imports=["till.tasks"])


@sound("app-unwatched")
def a_throwaway_app_in_a_function(p: Project) -> None:
    p.tasks("till.tasks.pay")
    made = Celery("thrown", broker="redis://other.invalid/0", set_as_current=False)
    p.later(lambda: made)


BILLING = """
    from celery import Celery
    billing = Celery("billing", broker="redis://other.invalid/0", set_as_current=False)
    billing.autodiscover_tasks(["depot"])
    @billing.task
    def bill(): ...
"""


@sound("app-unwatched")
def an_app_that_settings_of_their_own_watch(p: Project) -> None:
    p.health["CELERY_APP"] = "shop:app"
    watching = "CELERY_HEALTH = {'CELERY_APP': 'till.billing:billing'}"
    p.package("till", billing=BILLING, settings_billing=watching)
    p.conf(imports=["till.billing"])


@sound("app-unwatched")
def an_app_that_settings_may_watch_by_the_environment(p: Project) -> None:
    p.health["CELERY_APP"] = "shop:app"
    watching = "import os\nCELERY_HEALTH['CELERY_APP'] = os.environ['APP']"
    p.package("till", billing=BILLING, settings_billing=watching)
    p.conf(imports=["till.billing"])


@sound("app-unwatched")
def the_default_app_that_settings_without_celery_app_watch(p: Project) -> None:
    p.health["CELERY_APP"] = "shop:app"
    changed = BILLING.replace(", set_as_current=False", "") + "    billing.set_default()"
    p.package("till", billing=changed, settings="INSTALLED_APPS = ['till']")
    p.conf(imports=["till.billing"])


@sound("tasks-unimported")
def another_app_of_the_project_discovers_them(p: Project) -> None:
    an_app_that_settings_of_their_own_watch(p)
    p.package("depot", tasks="from celery import shared_task\n@shared_task\ndef count(): ...")
    p.installed("depot")


@sound("tasks-unimported")
def another_app_of_the_project_imports_them(p: Project) -> None:
    p.health["SILENCED"] = ["W131"]
    changed = BILLING.replace('autodiscover_tasks(["depot"])', 'conf.imports = "depot.tasks"')
    p.package("till", billing=changed)
    p.package("depot", tasks="from celery import shared_task\n@shared_task\ndef count(): ...")
    p.installed("depot")
    p.conf(imports=["till.billing"])


@sound("app-unwatched", "current-app-differs")
def celerys_default_app_that_nobody_uses(p: Project) -> None:
    touch_current_app(p)
    p.tasks("till.tasks.pay")


@sound("sent-elsewhere")
def tasks_of_others_are_sent_to_them(p: Project) -> None:
    p.tasks("till.tasks.pay")
    told(p, app="warehouse", broker="redis://other/0", is_default=False, is_unset=False, tasks=("pack",))


@sound("sent-elsewhere")
def a_second_app_sends_its_own_tasks(p: Project) -> None:
    p.health["SILENCED"] = ["W131"]
    p.package(
        "till",
        billing="""
            from celery import Celery
            billing = Celery("billing", broker="redis://other/0", set_as_current=False)
            @billing.task
            def bill(): ...
        """,
    )
    p.conf(imports=["till.billing"])
    told(
        p,
        app="billing",
        broker="redis://other/0",
        is_default=False,
        is_unset=False,
        tasks=("till.billing.bill",),
    )
