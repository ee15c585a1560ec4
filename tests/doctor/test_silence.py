"""What the doctor says when nobody answers: who, and what is proven all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.examination import report_of
from celery_health.doctor.live import LiveEvidence
from celery_health.records import AppFacts, InspectionState, WorkerState
from celery_health.testing import make_snapshot, make_worker
from tests.doctor.shop import Shop
from tests.support import eventually

GONE = make_worker("w1@host", state=WorkerState.GONE, last_seen_seconds=40.0)
SILENT = make_worker("w1@host", state=WorkerState.UNKNOWN)
AWAY = replace(make_snapshot().broker, reachable=False, error="refused")
NOT_ASKED = InspectionState()

#: The system, and who did not answer.
SAID: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    # Tasks run in place: nobody has to answer.
    ({"app": AppFacts(app_id="p", name="p", always_eager=True), "broker": AWAY, "workers": []}, None),
    ({"workers": [GONE]}, "The broker answers, and no worker is alive: 'w1@host' is gone."),
    (
        {"workers": [GONE, make_worker("w2@host", state=WorkerState.GONE)]},
        "The broker answers, and no worker is alive: 'w1@host' and 'w2@host' are gone.",
    ),
    ({"workers": [GONE, make_worker("w2@host")]}, None),
    ({"workers": []}, "The broker answers, and no worker is there."),
    ({"workers": [SILENT]}, "The broker answers, and no worker answers ('w1@host')."),
    ({"workers": [], "inspection": NOT_ASKED}, "The broker answers, and no worker is known."),
    (
        {"broker": AWAY, "workers": [], "inspection": NOT_ASKED},
        "The broker does not answer, and no worker can be asked.",
    ),
    ({"broker": AWAY}, "The broker does not answer, and workers are known by their records alone."),
    (
        {"broker": replace(AWAY, reachable=None), "workers": [], "inspection": NOT_ASKED},
        "The broker cannot be asked, and no worker is known.",
    ),
]


@pytest.mark.parametrize(("system", "expected"), SAID)
def test_unanswered__says_who(system: dict[str, Any], expected: str | None) -> None:
    live = LiveEvidence(snapshot=make_snapshot(**system))

    report = report_of(Evidence(app_name="p", live=live), Settings(), rules=())

    assert (report.unanswered, report.answered) == (expected, expected is None)


@pytest.mark.slow
def test_doctor__all_workers_were_killed(make_shop: Callable[[str], Shop], redis_url: str) -> None:
    shop = make_shop(redis_url)
    shop.change(
        """
        del CELERY_TASK_QUEUES
        CELERY_TASK_ROUTES = {"orders.tasks.build_*": {"queue": "reports"}}
        CELERY_HEALTH |= {"LIMITS": {"worker_lost_seconds": 3}}
        """
    )
    worker = shop.worker()
    before = shop.doctor_finds(["E104:queue:reports"])

    worker.kill()
    eventually(lambda: "is alive:" in shop.manage("celery_health", "doctor").stdout, 40)

    text = shop.manage("celery_health", "doctor").stdout
    assert f"The broker answers, and no worker is alive: '{worker.hostname}' is gone.\n" in text
    # What was proven while it lived is still true; that nobody is left for its own queue is no finding.
    after = shop.doctor()
    assert (before.status, after.status) == (1, 1)
    assert after.found == before.found
    assert after.finding("E104")["evidence"]["workers"] == {worker.hostname: ["celery"]}
    assert after.body["answered"] is False

    # Then nothing is found, and proves nothing.
    with open(shop.folder / "variant.py", "a") as settings:
        settings.write("CELERY_HEALTH |= {'SILENCED': ['E104']}\n")
    assert shop.doctor().status == 2
