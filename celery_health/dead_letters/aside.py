"""Set aside what no worker can read, before a worker takes it: into the dead letters, byte for byte."""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

from kombu.serialization import prepare_accept_content

from celery_health.brokers.unreadable import unreadable
from celery_health.dead_letters.letters import base_of, opened
from celery_health.dead_letters.reading import JSON
from celery_health.dead_letters.records import Aside, Cause, Reason, SetAside
from celery_health.deadline import Deadline
from celery_health.exceptions import ConfigurationError, ReadableError
from celery_health.text.formats import plural
from celery_health.text.masking import describe_error
from celery_health.text.printable import printable
from celery_health.topology import import_tasks

#: Seconds for one call of the broker, at least: a message may have tens of megabytes.
CALL_SECONDS: Final = 30.0
#: Of a body that is no message.
_CONTENT_TYPE: Final = "application/octet-stream"


def set_aside(queue: str, *, dry_run: bool = False) -> SetAside:
    """Move the first messages of `queue` that no worker can read into its dead letters, byte for byte.

    Looked at are the first 20 of each of its lists. What some worker can read, or may, stays where it is; a
    message is moved only while it still lies there. What was moved cannot be sent again: it never was a task.

    Args:
        queue: as tasks know it.
        dry_run: only say what would be moved.

    Raises:
        ReadableError: all that were looked at can be read, or there is none; nothing was moved.
        BrokerError: the broker refuses, or does not answer in time.
        UnsupportedError: this broker shows a message only by taking it.
        ConfigurationError: no app is configured, a setting is wrong, or a task module cannot be imported.
    """
    with opened() as (box, settings):
        queue = base_of(box, queue)
        _import(box.app)
        takes_json = JSON in _accepted(box.app)
        found: list[Aside] = []
        looked_at = gone = 0

        def deadline() -> Deadline:
            return Deadline.after(max(settings.deadline, CALL_SECONDS))

        heads = box.heads(queue, deadline)
        waiting = box.waiting(queue, deadline())
        # All of them first: where one is taken away, the others move up.
        for head in list(heads):
            looked_at += 1
            why = unreadable(head.raw, box.app.tasks.__contains__, takes_json=takes_json)
            if why is None:
                continue
            reason = _reason(queue, why.why)
            if not dry_run and not box.set_aside(queue, head, reason, deadline):
                gone += 1
                continue
            found.append(
                Aside(
                    position=head.position,
                    size_bytes=len(head.raw),
                    why=why.why,
                    letter_id=None if dry_run else reason.id,
                )
            )
    behind = max(0, waiting - looked_at)
    if not found and not gone:
        name = printable(queue)
        raise ReadableError(
            f"Workers can read the first {plural(looked_at, 'message')} of queue '{name}': none is set aside."
            + (f" {behind:,} behind them were not looked at." if behind else "")
            if looked_at
            else f"Queue '{name}' holds no message: nothing is set aside."
        )
    return SetAside(
        queue=queue,
        messages=tuple(found),
        looked_at=looked_at,
        not_looked_at=behind,
        gone=gone,
        dry_run=dry_run,
    )


def _accepted(app: Any) -> set[str]:
    return prepare_accept_content(app.conf.accept_content or ()) or set()


def _import(app: Any) -> None:
    """Import the tasks: what names none is deleted by workers, whatever else is wrong with it."""
    try:
        import_tasks(app)
    except Exception as error:  # a project's modules may raise anything
        raise ConfigurationError(
            f"The task modules of the project cannot be imported ({describe_error(error)}). Fix that first."
        ) from error


def _reason(queue: str, why: str) -> Reason:
    now = time.time()
    return Reason(
        id=uuid.uuid4().hex,
        cause=Cause.UNREADABLE,
        exception="",
        message=f"No worker can read it: {why}.",
        traceback=None,
        worker="",
        attempts=0,
        failed_at=now,
        first_failed_at=now,
        queue=queue,
        exchange="",
        routing_key="",
        priority=None,
        content_type=_CONTENT_TYPE,
    )
