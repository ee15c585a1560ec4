"""Commands to paste. What has to be quoted is: names of queues and workers are others' texts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Final, Literal

from celery_health.text.printable import printable

#: Where no module holds the app under a name: what says so, and holds no sign of a shell's.
NO_ARGUMENT: Final = "REPLACE_BY_YOUR_CELERY_APP"

#: How a worker is called that was given no name: ``celery@<host>``.
_DEFAULT_NODE: Final = "celery@"
#: What the name of a worker's node is better without.
_NO_NODE_NAME: Final = re.compile(r"[^\w.-]+")


class AppName(str):
    """The name of a Celery app, and what has to be pasted to reach it by Celery's command.

    A plain string in its place is its own argument.
    """

    argument: str
    """What follows ``-A``."""
    settings_module: str | None
    """``DJANGO_SETTINGS_MODULE``, where nothing that ``-A`` imports would set it so."""

    def __new__(cls, name: str, argument: str | None = None, settings_module: str | None = None) -> AppName:
        """Make the name; without an argument, it is the name itself."""
        made = super().__new__(cls, name)
        made.argument = argument or name
        made.settings_module = settings_module
        return made


def _celery(app_name: str) -> str:
    """Return ``celery -A <app>``, with the settings that it needs before it."""
    celery = f"celery -A {shlex.quote(getattr(app_name, 'argument', app_name))}"
    module = getattr(app_name, "settings_module", None)
    return f"DJANGO_SETTINGS_MODULE={shlex.quote(module)} {celery}" if module else celery


def worker_command(
    app_name: str, queues: Iterable[str] = (), carried: Iterable[str] = (), beside: Iterable[str] = ()
) -> str:
    """Return the command that starts a worker.

    `queues` are taken by the letter. `carried` are those that a worker has now: a blank beside a name is the
    slip in its ``-Q "a, b"`` (Celery keeps it in the name), and must not come back. `beside` are the names of
    workers that go on: two of one name on one host hide each other.
    """
    queues = tuple(queues)
    names = {*queues, *(name.strip() for name in carried)} - {""}
    # -Q ends a name at a comma: under that name no worker can be told to take it.
    renamed = {name: name.replace(",", "_") for name in sorted(names) if "," in name}
    command = f"{_celery(app_name)} worker"
    if any(hostname.startswith(_DEFAULT_NODE) for hostname in beside):
        command += f" -n {_NO_NODE_NAME.sub('-', queues[0] if queues else '').strip('-') or 'worker'}@%h"
    if names:
        command += f" -Q {shlex.quote(','.join(sorted({renamed.get(name, name) for name in names})))}"
    if renamed:
        pairs = ", ".join(f"'{printable(old)}' to '{printable(new)}'" for old, new in renamed.items())
        command += f"  # first rename queue {pairs}: -Q takes no name with a comma"
    return command


def add_consumer_command(app_name: str, queue: str, hostname: str) -> str:
    """Return the command that has a running worker consume a queue again."""
    return f"{_celery(app_name)} control -d {shlex.quote(hostname)} add_consumer {_positional(queue)}"


def beat_command(app_name: str) -> str:
    """Return the command that starts a beat."""
    return f"{_celery(app_name)} beat"


def purge_command(app_name: str, queue: str) -> str:
    """Return the command that deletes the messages of a queue."""
    if "," in queue:  # two others, for `purge -Q`
        return f"{_celery(app_name)} amqp queue.purge {_positional(queue)}"
    return f"{_celery(app_name)} purge -Q {shlex.quote(queue)}"


def pool_grow_command(app_name: str, hostname: str) -> str:
    """Return the command that gives a worker one more process."""
    return f"{_celery(app_name)} control pool_grow 1 -d {shlex.quote(hostname)}"


def letters_command(action: Literal["list", "requeue", "purge"], queue: str) -> str:
    """Return the command that does something with the dead letters of a queue."""
    return f"python manage.py celery_health dead-letters {action} {_positional(queue)}"


def _positional(name: str) -> str:
    """Return a name quoted, and where it looks like an option, marked as none."""
    return f"-- {shlex.quote(name)}" if name.startswith("-") else shlex.quote(name)
