"""The verdict: pure rules over a Snapshot, and one fold over what they find."""

from __future__ import annotations

from celery_health.health.body import report_body
from celery_health.health.verdict import get_report, judge, with_tasks

__all__ = ["get_report", "judge", "report_body", "with_tasks"]
