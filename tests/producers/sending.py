"""Tasks that send others."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from tests.project.tasks import noop


@shared_task
def send_two() -> None:
    """Send two tasks to a queue that nobody consumes."""
    for _ in range(2):
        noop.apply_async(queue="elsewhere")


@shared_task(bind=True)
def retry_elsewhere(self: Any) -> None:
    """Ask for a retry from a queue that nobody consumes."""
    raise self.retry(countdown=0, queue="elsewhere")
