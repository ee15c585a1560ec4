"""What the shop has its workers do: quick and slow work, some that is retried, some that fails.

Which orders give trouble depends on their number alone, so that every run of the shop is alike.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from celery import Task, shared_task

from celery_health import monitor_task

logger = logging.getLogger(__name__)


class PaymentGatewayDown(Exception):
    """The bank's computer does not answer: it will, in a moment."""


class AddressUnknown(Exception):
    """Nobody lives there: trying again is of no use."""


@shared_task
def reserve_stock(order_id: int) -> None:
    """Take an order's goods off the shelf: quick."""
    time.sleep(0.01)


@shared_task(
    bind=True,
    autoretry_for=(PaymentGatewayDown,),
    retry_backoff=1,
    retry_backoff_max=10,
    max_retries=3,
    acks_late=True,
    reject_on_worker_lost=True,
)
def charge_card(self: Task[Any, Any], order_id: int) -> None:
    """Charge an order; the gateway refuses every fifth at the first try."""
    time.sleep(0.1)
    if order_id % 5 == 0 and self.request.retries == 0:
        raise PaymentGatewayDown(f"The payment gateway did not answer for order {order_id}.")


@shared_task
def send_confirmation(order_id: int) -> None:
    """Mail the customer; every seventh gave an address that does not exist."""
    time.sleep(0.05)
    if order_id % 7 == 0:
        raise AddressUnknown(f"Order {order_id} was placed with an address that does not exist.")


@shared_task
@monitor_task(expected=timedelta(seconds=30))
def build_invoice(order_id: int) -> None:
    """Draw an invoice: slow, a few seconds."""
    time.sleep(1 + order_id % 4)


@shared_task
def build_sales_report(days: int) -> None:
    """Add up the sales of the last `days` days: slow, every night."""
    time.sleep(5)


@shared_task
def release_expired_baskets() -> None:
    """Give back what nobody bought: quick, every few seconds."""
    time.sleep(0.02)


@shared_task
def refresh_prices(supplier: str) -> None:
    """Ask a supplier for today's prices: every minute."""
    time.sleep(0.5)
    logger.info("Prices of %s are up to date.", supplier)
