"""The test project's paths, and what ``health/`` is measured beside."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.project.urls import urlpatterns as project


class EmptyView(APIView):
    """As little as Django REST framework can answer."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        """Answer an empty object."""
        return Response({})


def ping(request: HttpRequest) -> HttpResponse:
    """Run the Celery check of django-health-check."""
    from health_check.contrib.celery import Ping

    from celery_health.celery_app import find_app

    Ping(app=find_app()).run()
    return HttpResponse("pong")


def processor(request: HttpRequest) -> HttpResponse:
    """Answer the seconds of processor time that this process has used."""
    return HttpResponse(repr(time.process_time()))


urlpatterns = [
    *project,
    path("empty/", EmptyView.as_view()),
    path("ping/", ping),
    path("processor/", processor),
]
