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
from orders import mail, payments

logger = logging.getLogger(__name__)


@shared_task
def reserve_stock(order_id: int) -> None:
    """Take an order's goods off the shelf: quick."""
    time.sleep(0.01)


@shared_task(
    bind=True,
    autoretry_for=(payments.PaymentGatewayDown, payments.PaymentGatewayTimeout),
    retry_backoff=1,
    retry_backoff_max=10,
    max_retries=3,
    acks_late=True,
    reject_on_worker_lost=True,
)
def charge_card(self: Task[Any, Any], order_id: int, card_token: str = "") -> None:
    """Charge an order; it fails for good only while somebody has broken the bank."""
    payments.charge(order_id, attempt=self.request.retries)


@shared_task
def send_confirmation(order_id: int) -> None:
    """Mail the customer; about every fifth mail fails, in two ways."""
    mail.deliver(mail.address_of(order_id), order_id)


@shared_task
def send_newsletter(customer_id: int) -> None:
    """Mail what is new to one customer: quick, but there are thousands of them."""
    time.sleep(0.02)


@shared_task
@monitor_task(expected=timedelta(seconds=30))
def build_invoice(order_id: int) -> None:
    """Draw an invoice: slow, a few seconds."""
    time.sleep(1 + order_id % 4)


@shared_task
@monitor_task(expected=timedelta(minutes=1))
def build_catalogue() -> None:
    """Draw every article anew: the slowest of all."""
    time.sleep(20)


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
