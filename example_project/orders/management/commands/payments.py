"""Break the bank, and put it right again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orders import payments


class Command(BaseCommand):
    help = "Break the payment service (down), put it right (up), or say how it is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("state", nargs="?", choices=["down", "up"])

    def handle(self, *args: Any, **options: Any) -> None:
        if options["state"]:
            payments.set_down(options["state"] == "down")
        self.stdout.write(f"The payment service is {'down' if payments.is_down() else 'up'}.")
