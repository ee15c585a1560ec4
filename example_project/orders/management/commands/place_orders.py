"""Let customers order: a trickle of tasks, until interrupted."""

from __future__ import annotations

import itertools
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orders import tasks
from shop.broker import URGENT, WHENEVER


def place_order(order_id: int) -> None:
    """Queue what has to be done for one order."""
    tasks.reserve_stock.apply_async((order_id,), priority=URGENT)
    tasks.charge_card.delay(order_id)
    tasks.send_confirmation.delay(order_id)
    if order_id % 3 == 0:
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
            time.sleep(options["every"])
