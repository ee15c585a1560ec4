"""``doctor/``: who may ask, and how it answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from celery_health.exceptions import DeadlineExceeded
from tests.api.conftest import FOUND, PREFIX, Celery

PATH = PREFIX + "doctor/"


def test_doctor__answers_the_findings(staff: Client, celery: Celery) -> None:
    response = staff.get(PATH)

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert response.json() == {
        "findings": [
            {
                "code": "E101",
                "rule": "beat-task-unregistered",
                "severity": "error",
                "subject": {"kind": "beat_entry", "name": "sync"},
                "message": "Beat entry 'sync' sends 'accounts.tasks.sync', "
                "which no consumer of 'celery' registers.",
                "evidence": {
                    "task": "accounts.tasks.sync",
                    "nearest": ["accounts.tasks.sync_accounts"],
                    "workers": ["w1@host"],
                    "source": "settings",
                },
                "fix": "Set the entry's task to 'accounts.tasks.sync_accounts'.",
                "docs": "docs/doctor/lost-work.md#beat-task-unregistered",
                "because": None,
            }
        ],
        "counts": {"error": 1, "warning": 0, "info": 0},
        "silenced": 0,
        "scope": "live",
        "answered": True,
        "as_of": "2026-01-28T10:00:00.120Z",
        "notes": [],
    }


def test_doctor__says_when_nobody_answered(staff: Client, celery: Celery) -> None:
    celery.doctor = replace(
        FOUND,
        findings=(),
        unanswered="The broker answers, and no worker is there.",
        silenced=2,
        notes=("the broker: refused",),
    )

    body = staff.get(PATH).json()

    assert (body["findings"], body["answered"], body["silenced"]) == ([], False, 2)
    assert body["notes"] == ["the broker: refused"]


def test_doctor__takes_no_parameters(staff: Client, celery: Celery) -> None:
    response = staff.get(PATH + "?limit=1")

    assert response.status_code == 400
    assert response.json()["parameter"] == "limit"
    assert celery.asked == 0


def test_doctor__too_late_is_503(staff: Client, celery: Celery) -> None:
    celery.error = DeadlineExceeded("No answer within 8 s.")

    response = staff.get(PATH)

    assert response.status_code == 503
    assert response.json() == {"error": "No answer within 8 s."}


def test_doctor__is_escaped_in_a_browser(staff: Client, celery: Celery) -> None:
    finding = replace(FOUND.findings[0], message="<script>alert(1)</script>")
    celery.doctor = replace(FOUND, findings=(finding,))

    page = staff.get(PATH, headers={"Accept": "text/html"}).content.decode()

    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("rank", ["anonymous", "user"])
def test_doctor__is_for_staff(client_of: object, celery: Celery, rank: str) -> None:
    assert callable(client_of)
    assert client_of(rank).get(PATH).status_code == 403
    assert celery.asked == 0
