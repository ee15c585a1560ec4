"""Something that is left as it is will change with Celery 6; one line keeps what the project does today.

What Celery 5 announces of it in its own source:

- the task attributes ``queue``, ``exchange``, ``exchange_type``, ``routing_key``, ``delivery_mode`` and
  ``priority`` will have no effect (``celery/app/task.py``, ``bind``): ``task_routes`` says the same, also for
  tasks of an installed application, whose source is not the project's;
- ``broker_connection_retry`` will no longer say whether a worker that starts tries again to reach the broker,
  but ``broker_connection_retry_on_startup`` alone (``celery/worker/consumer/consumer.py``,
  ``ensure_connected``);
- ``worker_cancel_long_running_tasks_on_connection_loss`` will be on: a worker that loses its connection
  cancels the tasks that it acknowledges late, which the broker hands out again (the same module);
- the names that settings had before Celery 4 will be gone (``celery/app/utils.py``,
  ``maybe_warn_deprecated_settings``).

A hint for what concerns the project, one for each; none for what is set, or what a route says as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.rules.destination_ignored import outdone_by
from celery_health.doctor.rules.setting_ignored import NAMESPACE, renamed_to_old_names
from celery_health.doctor.spelling import assigned, routes_added, setting_name
from celery_health.doctor.wording import listed


class Celery6Changes(Rule):
    """An option will change with Celery 6."""

    number: ClassVar = 319
    name: ClassVar = "celery-6-changes"
    summary: ClassVar = "What is left as it is will change with Celery 6: a line that keeps it."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per option that concerns the project."""
        own = list(evidence.own_tasks)
        yield from self._attributes(evidence, own)
        yield from self._defaults(evidence, own)
        yield from self._old_names(evidence)

    def _attributes(self, evidence: Evidence, own: list[TaskFacts]) -> Iterator[Finding]:
        # Their routes name another queue, and are said to be without effect: Celery 6 gives them one.
        outdone = {name for route in evidence.routes for name in outdone_by(evidence, route)}
        routes = {task.name: _whole_route(task) for task in own if _loses(task) and task.name not in outdone}
        if not routes:
            return
        attributes = sorted({name for task in own if task.name in routes for name in task.options})
        objects = sorted(
            {
                task.queue_declaration.name
                for task in own
                if task.name in routes and task.queue_declaration is not None
            }
            - evidence.declared_queues
        )
        fix = routes_added(evidence, routes)
        if objects:
            queues = setting_name(evidence, "task_queues")
            fix += f", with the Queue of {listed(objects)} in {queues}, among those that are there."
        yield self.finding(
            Kind.SETTING,
            "task_routes",
            f"With Celery 6, {_attributes_of(attributes)} of {listed(routes)} will have no effect.",
            evidence={"task_routes": routes},
            fix=fix,
        )

    def _defaults(self, evidence: Evidence, own: list[TaskFacts]) -> Iterator[Finding]:
        conf = evidence.conf
        ignored = {setting.key for setting in evidence.django.ignored}  # which another rule says
        option = "broker_connection_retry_on_startup"
        if own and not conf.is_startup_retry_set and option not in ignored:
            yield self.finding(
                Kind.SETTING,
                option,
                "With Celery 6, broker_connection_retry will no longer say whether a worker that starts "
                f"tries again to reach the broker: {option} alone will, and is not set.",
                evidence={"broker_connection_retry": conf.connection_retry},
                fix=assigned(evidence, option, conf.connection_retry),
            )
        late = [task.name for task in own if task.acks_late]
        option = "worker_cancel_long_running_tasks_on_connection_loss"
        if late and not conf.is_cancel_on_loss_set and option not in ignored:
            yield self.finding(
                Kind.SETTING,
                option,
                f"With Celery 6, a worker that loses its connection to the broker will cancel what it "
                f"acknowledges late, {listed(late)}: {option} is not set.",
                evidence={"tasks": late},
                fix=f"{assigned(evidence, option, False)}, or True to have them cancelled: the broker hands "
                "them out again in any case.",
            )

    def _old_names(self, evidence: Evidence) -> Iterator[Finding]:
        names = evidence.django.old_names
        if not names:
            return
        right = {name: _right_name(evidence, option) for name, option in names.items()}
        # Some are the same before and under a namespace: CELERY_TIMEZONE.
        renamed = [f"{name} to {new}" for name, new in right.items() if name != new]
        fixes = [f"Rename {', '.join(renamed)}."] if renamed else []
        if evidence.django.reads_django_settings and not evidence.django.namespace:
            fixes.append(f"{'All at once, with ' * bool(renamed)}{NAMESPACE}.")
            if kept := renamed_to_old_names(evidence):
                fixes.append(f"That gives effect to {listed(kept)} too, without another name.")
        yield self.finding(
            Kind.SETTING,
            next(iter(names)),
            f"With Celery 6, {listed(names)} will not be read: old names of settings go.",
            evidence={"right_names": right},
            fix=" ".join(fixes),
        )


def _loses(task: TaskFacts) -> bool:
    """Say whether a task has an attribute that its route does not say as well."""
    return any(task.route.get(name) != value for name, value in task.options.items())


def _whole_route(task: TaskFacts) -> Mapping[str, Any]:
    """Return the route with which `task` is sent, without its attributes, as it is today."""
    route = {**task.route, **task.options}
    if "exchange" in route and "queue" not in route and task.destination and task.destination.queue:
        # Where no route is, Celery adds the default queue; where there is one, it does not.
        route["queue"] = task.destination.queue
    return route


def _attributes_of(names: list[str]) -> str:
    return f"the task attribute{'s' * (len(names) > 1)} {listed(names, len(names))}"


def _right_name(evidence: Evidence, option: str) -> str:
    django = evidence.django
    return f"{django.namespace or 'CELERY'}_{option.upper()}" if django.reads_django_settings else option
