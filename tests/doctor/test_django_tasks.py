"""Django's tasks on workers of Celery: their backend names the queue, and a plain worker may not read it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import django
import pytest

from tests.doctor.shop import Shop

pytestmark = [
    pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has tasks since 6.0"),
    pytest.mark.slow,
]

Make = Callable[[str], Shop]
PACKAGES = (
    *("django-tasks-celery==0.1.1", "django-tasks-fennel==0.1"),
    *("taskferry==0.2.0", "taskferry-django==0.2.0", "taskferry-celery==0.1.0"),
)
#: The least that a backend is: one Celery task for each of Django's.
BACKEND = """
    from celery import current_app, shared_task
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import TaskResult, TaskResultStatus

    class Backend(BaseTaskBackend):
        def validate_task(self, task):
            super().validate_task(task)
            shared_task(task.func, name="django:" + task.module_path)

        def enqueue(self, task, args, kwargs):
            name = f"django:{task.module_path}"
            sent = current_app.send_task(name, args=args, kwargs=kwargs, queue=task.queue_name)
            return TaskResult(
                task=task, id=sent.id, status=TaskResultStatus.READY, enqueued_at=None, started_at=None,
                finished_at=None, last_attempted_at=None, args=list(args), kwargs=kwargs,
                backend=self.alias, errors=[], worker_ids=[],
            )
"""
JOBS = """
    from django.tasks import task

    @task
    def mail(to): ...

    @task(queue_name="letters")
    def letter(to): ...
"""
SETTINGS = """
    CELERY_IMPORTS = ["jobs"]
    CELERY_TASK_QUEUES = None
    TASKS = {{"default": {{"BACKEND": "{backend}", "QUEUES": ["default", "letters"]}}}}
    INSTALLED_APPS += {apps}
    FERRY = {{"factory": "celery", "app": "shop.celery:app"}}
    TASKFERRY = {{"backends": {{"ferry": FERRY}}, "defaults": {{"task": "ferry"}}}}
"""
DISPATCHER = """
from shop.celery import app
from taskferry_celery import register_dispatcher

register_dispatcher(app)
"""
OURS = ["celery", "emails", "reports"]


def test_django_tasks__a_plain_worker_is_found(make_shop: Make, redis_url: str) -> None:
    shop = make_shop(redis_url)
    shop.change(SETTINGS.format(backend="backend.Backend", apps=[]), backend=BACKEND, jobs=JOBS)
    worker = shop.worker(queues=OURS)
    shop.run("import jobs; jobs.mail.enqueue('me')")

    found = shop.doctor_finds(["E104:queue:default", "E104:queue:letters"])

    (default, _) = [one for one in found.body["findings"] if one["code"] == "E104"]
    assert default["message"].startswith("Task 'django:jobs.mail' goes to queue 'default'")
    assert default["evidence"]["ready"] == 1
    worker.stop()

    # What the fixes say, done.
    shop.worker(queues=[*OURS, "default", "letters"])
    shop.doctor_finds([])


@pytest.mark.soak  # it fetches the packages
@pytest.mark.parametrize(
    ("backend", "apps", "read", "missed"),
    [
        # All that Django calls "default" goes to the queue of that name, whatever the routes say.
        ("django_tasks_fennel.CeleryBackend", ["django_tasks_fennel"], ["default", "letters"], "default"),
        # That, to where the app's routes lead: its default queue.
        ("django_tasks_celery.CeleryBackend", [], ["letters"], "letters"),
        # A runtime between the two decides: that is not followed, and shows as soon as something waits.
        ("taskferry_django.TaskferryBackend", ["taskferry_django"], ["default", "letters"], "default"),
    ],
)
def test_django_tasks__released_backends(
    make_shop: Make,
    redis_url: str,
    tmp_path: Path,
    backend: str,
    apps: list[str],
    read: list[str],
    missed: str,
) -> None:
    folder = tmp_path / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
    subprocess.run(pip, check=True, timeout=120)
    shop = make_shop(redis_url)
    shop.more_env["PYTHONPATH"] = f"{shop.env['PYTHONPATH']}:{folder}"
    jobs = f"{DISPATCHER}\n{dedent(JOBS)}" if "taskferry" in backend else JOBS
    shop.change(SETTINGS.format(backend=backend, apps=apps), jobs=jobs)
    worker = shop.worker(queues=OURS)
    shop.run("import jobs; jobs.mail.enqueue('me'); jobs.letter.enqueue('you')")

    found = shop.doctor_finds([f"E104:queue:{queue}" for queue in read])
    assert any(one["subject"]["name"] == missed for one in found.body["findings"])
    worker.stop()

    shop.worker(queues=[*OURS, *read])
    shop.doctor_finds([])
