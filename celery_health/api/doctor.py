"""``doctor/``: what fails silently."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.doctor.body import report_body


class DoctorView(MonitoringView):
    """What fails silently or will bite, worst first, each with its proof and its fix.

    It looks at code, settings, workers, broker and schedule tables, and changes nothing there. The status is
    200 whatever is found.
    """

    @describe("doctor")
    def get(self, request: Request) -> Response:
        """Answer the findings."""
        # Imported here: every worker and web process loads the URLs, and few of them are ever asked this.
        from celery_health.doctor.live_examination import examine_live

        self.query()
        return Response(report_body(examine_live()))
