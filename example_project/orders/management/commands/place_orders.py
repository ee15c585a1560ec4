"""Let customers order: a trickle of tasks, and a rush now and then, until interrupted."""

from __future__ import annotations

import itertools
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orders import tasks
from shop.broker import URGENT, WHENEVER


def is_in_rush(order_id: int) -> bool:
    """Say whether an order is of those that come all at once: 30 of every 90."""
    return 20 <= order_id % 90 < 50


def place_order(order_id: int) -> None:
    """Queue what has to be done for one order."""
    tasks.reserve_stock.apply_async((order_id,), priority=URGENT)
    tasks.charge_card.delay(order_id, card_token=f"tok-{order_id:06}")
    tasks.send_confirmation.delay(order_id)
    # Whoever orders in a rush is a company and wants an invoice: more of them than are drawn at once.
    if order_id % 3 == 0 or is_in_rush(order_id):
        tasks.build_invoice.apply_async((order_id,), priority=WHENEVER)


class Command(BaseCommand):
    help = "Place orders until interrupted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--every", type=float, default=2.0, metavar="SECONDS", help="default: %(default)s"
        )
        parser.add_argument("--count", type=int, default=None, metavar="N", help="stop after N orders")

    def handle(self, *args: Any, **options: Any) -> None:
        for order_id in itertools.islice(itertools.count(1), options["count"]):
            try:
                place_order(order_id)
            except Exception as error:  # customers come back when the broker does
                self.stderr.write(f"Order {order_id} was not placed: {type(error).__name__}")
            if not is_in_rush(order_id):
                time.sleep(options["every"])
