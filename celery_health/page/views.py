"""The pages: each takes a reading, and has a pure function make blocks of it."""

from __future__ import annotations

from typing import ClassVar

from celery_health.api.query import Query
from celery_health.conf import get_settings
from celery_health.deadline import Deadline
from celery_health.health import with_tasks
from celery_health.page import (
    doctor,
    one_entry,
    one_queue,
    one_task,
    one_worker,
    overview,
    queues,
    runbook,
    schedule,
    search,
    tasks,
    workers,
)
from celery_health.page.base import CONTENT, PageView
from celery_health.page.blocks import Page
from celery_health.page.counts import counts_of
from celery_health.page.links import Links
from celery_health.page.lookup import LONGEST_QUERY
from celery_health.records import HealthReport


def _begins(query: Query) -> str:
    """Return what the names of a list are to begin with; empty for any."""
    return (query.single("q") or "")[:LONGEST_QUERY]


class OverviewPage(PageView):
    """The verdict, what is wrong and what to do, and after that what it was judged by.

    `?part=doctor` is what the doctor finds: its script asks for that now and then.
    """

    stop = "overview"
    root = ""
    parts = (CONTENT, "doctor")
    is_shared = True

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the overview."""
        counts = counts_of(report, deadline)
        if not any(worker.state.is_live for worker in report.snapshot.workers):
            report = with_tasks(report, deadline)  # what they held
        return overview.page(report, links, counts)

    def part(self, part: str) -> str:
        """Return the doctor's findings."""
        # Imported here: every worker and web process loads the URLs, and few of them are ever asked this.
        from celery_health.doctor.live_examination import examine_live

        return doctor.findings(examine_live(), Links(self.root))


class QueuesPage(PageView):
    """All queues, or the one of ``?name=``."""

    stop = "queues"
    parameters: ClassVar = ["name", "q", "part"]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the queues."""
        chosen = query.single("name")
        if chosen is None:
            return queues.page(report, links, begins=_begins(query))
        return one_queue.page_of(chosen, with_tasks(report, deadline), links, get_settings())


class TasksPage(PageView):
    """All tasks, or the one of ``?name=``."""

    stop = "tasks"
    parameters: ClassVar = ["name", "part"]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the tasks."""
        chosen = query.single("name")
        counts, told = counts_of(report, deadline), with_tasks(report, deadline)
        if chosen is None:
            return tasks.page(told, links, counts)
        return one_task.page(chosen, told, links, counts)


class WorkersPage(PageView):
    """All workers, or the one of ``?name=``."""

    stop = "workers"
    parameters: ClassVar = ["name", "q", "part"]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the workers."""
        chosen = query.single("name")
        if chosen is None:
            return workers.page(report, links, begins=_begins(query))
        return one_worker.page_of(chosen, with_tasks(report, deadline), links, get_settings())


class SchedulePage(PageView):
    """The schedule, or the entry of ``?name=``."""

    stop = "schedule"
    parameters: ClassVar = ["name", "q", "part"]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the schedule."""
        chosen = query.single("name")
        if chosen is None:
            return schedule.page(report, links, begins=_begins(query))
        return one_entry.page_of(chosen, report, links, get_settings())


class RunbookPage(PageView):
    """What to do about the check of ``?check=``."""

    stop = "overview"
    parameters: ClassVar = ["check", "part"]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the runbook."""
        return runbook.page(query.single("check") or "", report, links)


class SearchPage(PageView):
    """What the name in ``?q=`` begins with."""

    stop = "search"
    parameters: ClassVar = ["q", "part"]

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return what was found."""
        # Imported here for its way to the dead letters, which few processes ever go.
        from celery_health.page.looking import look_up

        snapshot = with_tasks(report, deadline).snapshot
        typed = query.single("q") or ""
        return search.page(look_up(typed, snapshot, deadline, with_letters=self.may("read")), links)


class DoctorPage(PageView):
    """Everything that the doctor finds, or what the rule of ``?rule=`` means.

    `?part=doctor` is what its script asks for once a minute; the rest changes more often.
    """

    stop = "doctor"
    parameters: ClassVar = ["rule", "part"]
    parts = (CONTENT, "doctor")

    def page(self, report: HealthReport, query: Query, links: Links, deadline: Deadline) -> Page:
        """Return the findings, or the rule."""
        rule_name = query.single("rule")
        if rule_name is not None:
            from celery_health.page import rule

            return rule.page(rule_name, links)
        if query.single("part") == CONTENT:
            return doctor.page(None, links)
        from celery_health.doctor.live_examination import examine_live

        return doctor.page(examine_live(), links)

    def part(self, part: str) -> str:
        """Return the findings."""
        from celery_health.doctor.live_examination import examine_live

        return doctor.findings(examine_live(), Links(self.root), most=doctor.MOST_FINDINGS)
