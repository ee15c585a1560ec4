"""Commands to paste. What has to be quoted is: names of queues and workers are others' texts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable


def worker_command(app_name: str, queues: Iterable[str] = ()) -> str:
    """Return the command that starts a worker."""
    names = ",".join(sorted(set(queues)))
    return f"celery -A {shlex.quote(app_name)} worker" + (f" -Q {shlex.quote(names)}" if names else "")


def add_consumer_command(app_name: str, queue: str, hostname: str) -> str:
    """Return the command that has a running worker consume a queue again."""
    app, worker, name = map(shlex.quote, (app_name, hostname, queue))
    return f"celery -A {app} control -d {worker} add_consumer {name}"
