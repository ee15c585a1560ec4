"""Change django-celery-beat's tables as its admin does: ``disable NAME`` or ``add NAME TASK SECONDS``."""

from __future__ import annotations

import sys

import django


def main(verb: str, name: str, *rest: str) -> None:
    django.setup()
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    if verb == "disable":
        task = PeriodicTask.objects.get(name=name)
        task.enabled = False
        task.save()
    else:
        interval, _ = IntervalSchedule.objects.get_or_create(every=int(rest[1]), period="seconds")
        PeriodicTask.objects.create(name=name, task=rest[0], interval=interval)


main(*sys.argv[1:])
