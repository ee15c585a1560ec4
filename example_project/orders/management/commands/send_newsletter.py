"""Write to every customer at once: more mails than one queue should hold."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orders import tasks
from shop.broker import WHENEVER


class Command(BaseCommand):
    help = "Queue a newsletter to N customers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("customers", nargs="?", type=int, default=4000, metavar="N", help="default: 4000")

    def handle(self, *args: Any, **options: Any) -> None:
        for customer_id in range(options["customers"]):
            # Mails that somebody waits for go first.
            tasks.send_newsletter.apply_async((customer_id,), priority=WHENEVER)
        self.stdout.write(f"Queued {options['customers']} newsletters.")
