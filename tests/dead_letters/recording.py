"""The app of workers that write down what reached a task: ``celery -A tests.dead_letters.recording``."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.project.celery import app

__all__ = ["app", "record"]


@app.task(bind=True, name="record")
def record(self: Any, *args: Any, **kwargs: Any) -> None:
    """Append this run's message to the file that ``CELERY_TEST_RECORD`` names, as one line of JSON."""
    request = self.request
    line = {
        "id": request.id,
        "args": args,
        "kwargs": kwargs,
        "headers": request.headers,
        "priority": request.delivery_info.get("priority"),
        "routing_key": request.delivery_info.get("routing_key"),
        "retries": request.retries,
    }
    with open(os.environ["CELERY_TEST_RECORD"], "a") as file:  # one write, appended: no line is torn
        file.write(json.dumps(line) + "\n")
