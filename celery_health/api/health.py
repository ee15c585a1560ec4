"""``health/``: the verdict."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar, Final

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.conf import details_are_public, get_settings
from celery_health.deadline import Deadline
from celery_health.health import get_report, report_body
from celery_health.records import Status

#: What turns the answer into 503, by ``?strict=``.
ALARMING: Final = {False: (Status.UNHEALTHY,), True: (Status.UNHEALTHY, Status.DEGRADED)}


class HealthView(MonitoringView):
    """Whether Celery works, with the reasons and what to do: 200 healthy or degraded, 503 unhealthy.

    `?strict=1` makes degraded 503 too. Not for liveness probes: dead workers would restart every web pod.
    """

    access = "health"
    parameters: ClassVar = ["strict"]
    refuse_unknown_parameters = False

    def needs_user(self) -> bool:
        """Say whether it matters who asks: also for what of the answer they may see."""
        return super().needs_user() or not details_are_public()

    def perform_authentication(self, request: Request) -> None:
        """Find out who asks; where anyone may, one who cannot be made out is anonymous.

        A database that is down, or an expired token, is no reason to withhold the verdict.
        """
        try:
            super().perform_authentication(request)
        except Exception:
            if not self.is_public:
                raise
            anonymous: Any = api_settings.UNAUTHENTICATED_USER
            nobody: Any = anonymous() if anonymous else None
            request.user = nobody
            request.auth = None

    @describe("health")
    def get(self, request: Request) -> Response:
        """Answer the verdict."""
        strict = self.query().flag("strict")
        report = get_report(Deadline.after(get_settings().deadline))
        body = report_body(report, details=self.shows_details())
        bad = report.status in ALARMING[strict]
        return Response(body, status=HTTPStatus.SERVICE_UNAVAILABLE if bad else HTTPStatus.OK)
