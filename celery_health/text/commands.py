"""Commands to paste. What has to be quoted is: names of queues and workers are others' texts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Literal


def worker_command(app_name: str, queues: Iterable[str] = ()) -> str:
    """Return the command that starts a worker."""
    names = ",".join(sorted(set(queues)))
    return f"celery -A {shlex.quote(app_name)} worker" + (f" -Q {shlex.quote(names)}" if names else "")


def add_consumer_command(app_name: str, queue: str, hostname: str) -> str:
    """Return the command that has a running worker consume a queue again."""
    app, worker, name = map(shlex.quote, (app_name, hostname, queue))
    return f"celery -A {app} control -d {worker} add_consumer {name}"


def beat_command(app_name: str) -> str:
    """Return the command that starts a beat."""
    return f"celery -A {shlex.quote(app_name)} beat"


def purge_command(app_name: str, queue: str) -> str:
    """Return the command that deletes the messages of a queue."""
    return f"celery -A {shlex.quote(app_name)} purge -Q {shlex.quote(queue)}"


def pool_grow_command(app_name: str, hostname: str) -> str:
    """Return the command that gives a worker one more process."""
    return f"celery -A {shlex.quote(app_name)} control pool_grow 1 -d {shlex.quote(hostname)}"


def letters_command(action: Literal["list", "requeue", "purge"], queue: str) -> str:
    """Return the command that does something with the dead letters of a queue."""
    return f"python manage.py celery_health dead-letters {action} {shlex.quote(queue)}"
