"""Do what a fix says in words, where it says exactly what to change: a name, an order, an option."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Final

from celery.schedules import crontab
from kombu import Exchange, Queue

from celery_health.doctor.findings import Finding, Kind
from tests.cases.support import Project

#: What says where a message goes: of a new address nothing old is left.
_ADDRESS: Final = ("queue", "exchange", "routing_key")


def follow(project: Project, finding: Finding, fix: str) -> bool:
    """Change the project as the fix says in words; False where that leaves somebody a choice."""
    name = finding.subject.name
    if said := re.fullmatch(r"Set the entry's task to '(.+)'\.", fix):
        project.app.conf.beat_schedule[name]["task"] = said[1]
    elif said := re.fullmatch(r"Write '([^']+)'\.", fix):
        _write(project, finding, said[1])
    elif said := re.fullmatch(r"Put '(.+)' before '(.+)' in task_routes\.", fix):
        _put_first(project, said[1])
    elif said := re.fullmatch(r"(?:Write|Name the queue in the route:) (\{[^}]+\})(?:,? .*)?\.", fix):
        _address(project, finding, eval(said[1], {"Exchange": Exchange, "__builtins__": {}}))
    elif said := re.search(r"Queue\('(.+?)', routing_key='(.+?)'\)", fix):
        _declare(project, Queue(said[1], routing_key=said[2]))
    elif said := re.match(r"'(\w+)': (\d+) in its options", fix):
        project.app.conf.beat_schedule[name]["options"][said[1]] = int(said[2])
    elif said := re.fullmatch(r"Send '.+' with the routing key of queue '.+': '(.+)'\.", fix):
        _options(project, finding)["routing_key"] = said[1]
    elif fix.startswith("Add minute=0"):
        _slower(project.app.conf.beat_schedule[name], hour="hour=0" in fix)
    else:
        return False
    return True


def _options(project: Project, finding: Finding) -> dict[str, Any]:
    """Return the options of the entry or the route that a finding is about."""
    if finding.subject.kind is Kind.BEAT_ENTRY:
        options: dict[str, Any] = project.app.conf.beat_schedule[finding.subject.name]["options"]
        return options
    routes: dict[str, Any] = project.app.conf.task_routes[finding.subject.name]
    return routes


def _write(project: Project, finding: Finding, right: str) -> None:
    conf, wrong = project.app.conf, finding.subject.name
    if finding.rule == "queue-unconsumed":
        for route in (conf.task_routes or {}).values():
            if route.get("queue") == wrong:
                route["queue"] = right
        for task in project.app.tasks.values():
            if getattr(task, "queue", None) == wrong:
                type(task).queue = right
    elif finding.rule == "option-misspelt":
        options = _options(project, finding)
        (slip,) = get_close_matches(right, options, 1, 0)
        options[right] = options.pop(slip)
    else:
        conf.task_routes = {right if key == wrong else key: value for key, value in conf.task_routes.items()}


def _put_first(project: Project, key: str) -> None:
    def is_meant(written: Any) -> bool:
        return getattr(written, "pattern", written) == key

    conf = project.app.conf
    routers = conf.task_routes if isinstance(conf.task_routes, tuple) else (conf.task_routes,)
    pairs = [pair for router in routers for pair in (router.items() if isinstance(router, dict) else router)]
    conf.task_routes = (sorted(pairs, key=lambda pair: not is_meant(pair[0])),)


def _address(project: Project, finding: Finding, address: dict[str, Any]) -> None:
    name = finding.subject.name
    routes = project.app.conf.task_routes or {}
    if finding.subject.kind is Kind.TASK and not (isinstance(routes, dict) and name in routes):
        for option in _ADDRESS:
            setattr(type(project.app.tasks[name]), option, None)
        if isinstance(routes, dict):
            routes = {name: address, **routes}
        elif isinstance(routes, list | tuple):
            routes = ({name: address}, *routes)
        else:
            routes = ({name: address}, routes)
        project.app.conf.task_routes = routes
        return
    options = _options(project, finding)
    for option in _ADDRESS:
        options.pop(option, None)
    options.update(address)


def _declare(project: Project, queue: Queue) -> None:
    conf = project.app.conf
    conf.task_queues = [*(one for one in conf.task_queues if one.name != queue.name), queue]


def _slower(entry: dict[str, Any], *, hour: bool) -> None:
    old: Any = entry["schedule"]
    entry["schedule"] = crontab(
        minute=0,
        hour=0 if hour else old._orig_hour,
        day_of_week=old._orig_day_of_week,
        day_of_month=old._orig_day_of_month,
        month_of_year=old._orig_month_of_year,
    )
