"""The paths, included where the project likes: ``path("api/celery/", include("celery_health.urls"))``.

Where Django REST framework is not installed, they are there all the same and say that: the project's other
URLs would go down with them.
"""

from __future__ import annotations

from django.urls import URLPattern, path

from celery_health.api.probes import live, ready
from celery_health.doctor.wiring import CheckedPattern, is_framework_missing

app_name = "celery_health"
_PROBES = {"live": live, "ready": ready}


def _patterns() -> list[URLPattern]:
    if is_framework_missing():
        from celery_health.api.unavailable import PATHS, unavailable

        return [path(route, _PROBES.get(name, unavailable), name=name) for route, name in PATHS]
    # Imported here: these need Django REST framework.
    from celery_health.api.dead_letters import (
        DeadLetterQueueView,
        DeadLettersView,
        DeadLetterView,
        PurgeView,
        RequeueOneView,
        RequeueView,
    )
    from celery_health.api.doctor import DoctorView
    from celery_health.api.health import HealthView
    from celery_health.api.metrics import MetricsView
    from celery_health.api.queues import QueuesView
    from celery_health.api.schedule import ScheduleView
    from celery_health.api.stats import StatsView
    from celery_health.api.tasks import TasksView
    from celery_health.api.workers import WorkersView
    from celery_health.page.acting import ACTIONS, ActionPage
    from celery_health.page.files import file_of_page
    from celery_health.page.letter_views import DeadLettersPage
    from celery_health.page.views import (
        DoctorPage,
        OverviewPage,
        QueuesPage,
        RunbookPage,
        SchedulePage,
        SearchPage,
        TasksPage,
        WorkersPage,
    )

    return [
        path("", OverviewPage.as_view(), name="page"),
        path("page/queues/", QueuesPage.as_view(), name="page-queues"),
        path("page/tasks/", TasksPage.as_view(), name="page-tasks"),
        path("page/workers/", WorkersPage.as_view(), name="page-workers"),
        path("page/schedule/", SchedulePage.as_view(), name="page-schedule"),
        path("page/dead-letters/", DeadLettersPage.as_view(), name="page-dead-letters"),
        *(
            path(f"page/{each}/", ActionPage.as_view(action=action), name=f"page-{each.replace('/', '-')}")
            for each, action in ACTIONS.items()
        ),
        path("page/search/", SearchPage.as_view(), name="page-search"),
        path("page/doctor/", DoctorPage.as_view(), name="page-doctor"),
        path("page/runbook/", RunbookPage.as_view(), name="page-runbook"),
        path("page/files/<str:asked>/<str:name>", file_of_page, name="page-file"),
        path("health/", HealthView.as_view(), name="health"),
        path("live/", live, name="live"),
        path("ready/", ready, name="ready"),
        path("tasks/", TasksView.as_view(), name="tasks"),
        path("stats/", StatsView.as_view(), name="stats"),
        path("workers/", WorkersView.as_view(), name="workers"),
        path("queues/", QueuesView.as_view(), name="queues"),
        path("schedule/", ScheduleView.as_view(), name="schedule"),
        path("doctor/", DoctorView.as_view(), name="doctor"),
        path("dead-letters/", DeadLettersView.as_view(), name="dead-letters"),
        path("dead-letters/<str:queue>/", DeadLetterQueueView.as_view(), name="dead-letters-queue"),
        path("dead-letters/<str:queue>/requeue/", RequeueView.as_view(), name="dead-letters-requeue"),
        path("dead-letters/<str:queue>/purge/", PurgeView.as_view(), name="dead-letters-purge"),
        path(
            "dead-letters/<str:queue>/<str:letter_id>/", DeadLetterView.as_view(), name="dead-letters-entry"
        ),
        path(
            "dead-letters/<str:queue>/<str:letter_id>/requeue/",
            RequeueOneView.as_view(),
            name="dead-letters-entry-requeue",
        ),
        path("metrics/", MetricsView.as_view(), name="metrics"),
    ]


_first, *_others = _patterns()
urlpatterns = [
    CheckedPattern(_first.pattern, _first.callback, _first.default_args, _first.name),
    *_others,
]
