"""``metrics/``: what Prometheus scrapes."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.metrics.scrape import answer


class MetricsView(MonitoringView):
    """The metrics, in Prometheus' text format or as OpenMetrics, by what the scraper accepts.

    Scrape one process, best ``celery_health exporter``: every web process serves the same totals.
    """

    access = "metrics"
    # Of errors alone; the metrics are rendered already. Parameters are for whoever puts a proxy in between.
    renderer_classes = (JSONRenderer,)
    refuse_unknown_parameters = False

    @describe("metrics")
    def get(self, request: Request) -> HttpResponse:
        """Answer the metrics."""
        scrape = answer(request.headers.get("Accept", ""), request.headers.get("Accept-Encoding", ""))
        return HttpResponse(scrape.body, headers=dict(scrape.headers))
