"""``task_routes`` as it is written, key by key, and which tasks each key wins (``celery/app/routes.py``)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery_health.doctor.facts import RouteFacts
from celery_health.doctor.setting_facts import IgnoredSetting
from celery_health.doctor.static.options import plain
from celery_health.doctor.static.queues import queue_in
from celery_health.doctor.static.written import released_routes

if TYPE_CHECKING:
    from celery import Celery


_Matches = Callable[[str], re.Match[str] | None]


@dataclass(kw_only=True, slots=True)
class _Key:
    """One key of one router."""

    text: str
    router: int
    target: Any
    pattern: re.Pattern[str] | None
    is_regex: bool
    unsure: bool
    """A router that is code is asked before it."""
    matches: list[str] = field(default_factory=list)
    wins: list[str] = field(default_factory=list)
    beaten_by: dict[str, _Key] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Say whether it matches a name."""
        return self.text == name if self.pattern is None else self.pattern.match(name) is not None


def route_facts(app: Celery) -> Iterator[RouteFacts]:
    """Yield every key, in the order of asking; routers that are code have none."""
    keys = _matched(app, app.conf.task_routes)
    idle = {key.text for key in keys if not key.matches}
    paths = sorted(_paths(app)) if idle else []
    released = released_routes(idle)
    for key in keys:
        options = key.target if isinstance(key.target, Mapping) else {}
        written = {"queue": key.target} if isinstance(key.target, str) else options
        mine = set(key.matches)
        yield RouteFacts(
            key=key.text,
            router=key.router,
            is_pattern=key.pattern is not None,
            is_regex=key.is_regex,
            is_editable=bool(key.matches) or key.text not in released,
            lives_at=() if key.matches else tuple(name for path, name in paths if key.takes(path)),
            target=_describe(key.target),
            matches=tuple(key.matches),
            wins=tuple(key.wins),
            beaten_by={other.text: _describe(other.target) for other in key.beaten_by.values()},
            broader=tuple(other.text for other in key.beaten_by.values() if mine < set(other.matches)),
            is_first_unsure=key.unsure,
            option_names=tuple(str(option) for option in options),
            priority=options.get("priority"),
            queue_declaration=queue_in(app, options, f"route {key.text!r}"),
            options=plain(written),
        )


def ignored_routes(app: Celery, source: Any, ignored: Iterable[IgnoredSetting]) -> tuple[str, ...]:
    """Return the registered tasks that routes in settings which have no effect would send somewhere."""
    found: set[str] = set()
    for setting in ignored:
        if setting.key != "task_routes":
            continue
        conf: Any = app.conf
        written = conf.maps[0].get("task_routes") if setting.is_assigned else getattr(source, setting.name)
        try:
            found.update(name for key in _matched(app, written) for name in key.matches)
        except Exception:  # whatever stands there: nobody reads it
            continue
    return tuple(sorted(found))


def _matched(app: Celery, routes: Any) -> list[_Key]:
    """Return the keys of `routes` with the registered tasks that each matches and wins."""
    keys = list(_keys(routes))
    exact = {(key.router, key.text): key for key in keys if key.pattern is None}
    routers = sorted({key.router for key in keys})
    # The bound method: it is called for each pattern with each task.
    patterns: list[list[tuple[_Matches, _Key]]] = [
        [(key.pattern.match, key) for key in keys if key.router == router and key.pattern is not None]
        for router in routers
    ]
    for name in app.tasks:
        _match(str(name), exact, patterns, routers)
    return keys


def _match(
    name: str,
    exact: Mapping[tuple[int, str], _Key],
    patterns: list[list[tuple[_Matches, _Key]]],
    routers: list[int],
) -> None:
    """Note which keys match `name`, and which of them wins: routers in order, in each the exact key first."""
    winner: _Key | None = None
    losers = []
    for router, candidates in zip(routers, patterns, strict=True):
        own = exact.get((router, name))
        matching = [own] if own is not None else []
        matching += [key for match, key in candidates if match(name)]
        for key in matching:
            key.matches.append(name)
            if winner is None:
                winner = key
                key.wins.append(name)
            else:
                losers.append(key)
    if winner is not None:
        for key in losers:
            key.beaten_by[winner.text] = winner


def _keys(routes: Any) -> Iterator[_Key]:
    if routes is None:
        return
    unsure = False
    for number, router in enumerate(routes if isinstance(routes, list | tuple) else [routes]):
        if not isinstance(router, Mapping | list | tuple):
            unsure = True
            continue
        for key, target in router.items() if isinstance(router, Mapping) else router:
            if isinstance(key, re.Pattern):
                text: str = key.pattern
                pattern: re.Pattern[str] | None = key
            else:
                text = str(key)
                pattern = re.compile(fnmatch.translate(text)) if "*" in text else None
            yield _Key(
                text=text,
                router=number,
                target=target,
                pattern=pattern,
                is_regex=isinstance(key, re.Pattern),
                unsure=unsure,
            )


def _paths(app: Celery) -> Iterator[tuple[str, str]]:
    """Yield ``module.function`` and the name of each task that has another name than that."""
    for name, task in app.tasks.items():
        path = f"{type(task).__module__}.{type(task).__name__}"
        if path != name:
            yield path, str(name)


def _describe(target: Any) -> str:
    """Return what a route gives, for people: its queue, or where else it sends."""
    if isinstance(target, str):
        return f"queue {target!r}"
    if not isinstance(target, Mapping):
        return type(target).__name__
    parts = []
    for option in ("queue", "exchange", "routing_key"):
        value = target.get(option)
        if value is not None:
            parts.append(f"{option.replace('_', ' ')} {getattr(value, 'name', value)!r}")
    others = sorted(str(option) for option in target if option not in ("queue", "exchange", "routing_key"))
    return ", ".join(parts + others) or "nothing"
