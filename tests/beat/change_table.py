"""Change django-celery-beat's tables as its admin does.

``disable NAME``, ``add NAME TASK SECONDS``, ``once NAME TASK SECONDS``, ``daily NAME TASK MINUTE HOUR ZONE``.
"""

from __future__ import annotations

import sys

import django


def main(verb: str, name: str, *rest: str) -> None:
    django.setup()
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

    if verb == "disable":
        task = PeriodicTask.objects.get(name=name)
        task.enabled = False
        task.save()
        return
    task_name, *when = rest
    if verb == "daily":
        crontab, _ = CrontabSchedule.objects.get_or_create(minute=when[0], hour=when[1], timezone=when[2])
        PeriodicTask.objects.create(name=name, task=task_name, crontab=crontab)
        return
    interval, _ = IntervalSchedule.objects.get_or_create(every=int(when[0]), period="seconds")
    PeriodicTask.objects.create(name=name, task=task_name, interval=interval, one_off=verb == "once")


main(*sys.argv[1:])
