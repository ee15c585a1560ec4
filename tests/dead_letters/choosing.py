"""Tasks that say of themselves what is to be kept of them."""

from __future__ import annotations

from typing import NoReturn

from celery import shared_task

from celery_health import MonitoredTask, monitor_task


class Special(LookupError):
    """One of the exceptions that `some` is kept for, by its base."""


def _fail(name: str) -> NoReturn:
    raise {"special": Special, "value": ValueError, "key": KeyError}[name](name)


@shared_task(base=MonitoredTask, dead_letter=True)
def always(name: str) -> NoReturn:
    _fail(name)


@shared_task
@monitor_task(dead_letter=False)
def never(name: str) -> NoReturn:
    _fail(name)


@shared_task
@monitor_task(dead_letter=[ValueError, LookupError])
def some(name: str) -> NoReturn:
    _fail(name)


@shared_task
@monitor_task(dead_letter=Special)
def one(name: str) -> NoReturn:
    _fail(name)


@shared_task
def unsaid(name: str) -> NoReturn:
    _fail(name)
