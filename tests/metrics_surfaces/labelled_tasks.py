"""Tasks whose arguments become metric labels."""

from __future__ import annotations

from typing import Any, NoReturn

from celery import shared_task

from celery_health import monitor_task


@shared_task
def charge(customer_id: str, amount: int = 1) -> int:
    """Fail for every tenth customer."""
    if amount % 10 == 0:
        raise ValueError(amount)
    return amount


@shared_task
@monitor_task(labels={"plan": "tier", "size": lambda *args, **kwargs: "big" if args[0] > 10 else "small"})
def ship(weight: int, tier: str | None = "free") -> None:
    """Have labels of its own."""


@shared_task
@monitor_task(labels={"broken": lambda *args, **kwargs: 1 / 0})
def source_fails() -> None:
    """Have a label that has no value."""


@shared_task(bind=True, max_retries=1, default_retry_delay=0)
def again(self: Any, customer_id: str) -> NoReturn:
    """Be retried, and fail."""
    raise self.retry(exc=KeyError(customer_id))


@shared_task
def plain() -> None:
    """Have no label."""
