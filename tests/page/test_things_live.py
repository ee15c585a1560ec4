"""The pages of a queue and of its worker, over a real Redis, worker and web server: busy, then killed."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from celery import Celery

from tests.api.conftest import PREFIX
from tests.support import WebServer, eventually

pytestmark = [pytest.mark.live, pytest.mark.slow]

OPEN = {
    "PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"},
    # So that a sole worker, whose end nothing proves, is missed soon.
    "HEARTBEAT_INTERVAL": 1,
    "LIMITS": {"worker_lost_seconds": 6},
}
TASK = "tests.project.tasks.wait_for_file"


def text_at(web: WebServer, path: str) -> str:
    """Return the text of a page."""
    answer = web.request(f"{PREFIX}page/{path}")
    assert answer.status == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def shows(web: WebServer, path: str, *wanted: str, timeout: float = 20) -> None:
    """Wait until a page shows each of some texts."""

    def look() -> bool:
        page = text_at(web, path)
        assert [text for text in wanted if text not in page] == [], page
        return True

    eventually(look, timeout=timeout, interval=0.2)


def test_pages__of_a_busy_worker_and_of_one_that_was_killed(
    redis_url: str,
    worker_factory: Callable[..., Any],
    web_server: Callable[..., WebServer],
    make_app: Callable[..., Celery],
    tmp_path: Any,
) -> None:
    app = make_app(redis_url)
    worker = worker_factory(redis_url, options=["--prefetch-multiplier", "2"], health=OPEN)
    web = web_server(redis_url, health=OPEN)
    held = [app.send_task(TASK, args=[str(tmp_path / "go")]).id for _ in range(2)]
    held.append(app.send_task("tests.project.tasks.noop", countdown=600).id)
    of_worker, of_queue = f"workers/?name={quote(worker.hostname)}", "queues/?name=celery"

    shows(web, of_worker, "Running 1 of 1 slots", "Reserved 1 taken", "Until later 1 held", *held)
    shows(
        web,
        of_queue,
        "Held by workers 2 1 reserved, 1 until later",
        "Running 1 of 1 slots of its workers",
        f"{worker.hostname} takes from it (busy) 1 2 1 of 1",
        f"{TASK} ",
        held[0],
    )

    worker.kill()

    shows(
        web,
        of_worker,
        "vanished without a goodbye",
        "Running 1 when last seen",
        "It ran 1 when it was last seen. What ran may be lost",
        "(1, and 1 until later) comes back to its queue after the visibility timeout",
        # By name, though it is gone.
        *held,
        timeout=40,
    )
    shows(web, of_queue, f"{worker.hostname} took from it, and is gone", "Nobody has taken from it for")
    # What nobody runs any more does not run.
    assert "Running from it now None." in text_at(web, of_queue)
