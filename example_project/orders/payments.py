"""The shop's bank: it works, until somebody breaks it with ``manage.py payments down``."""

from __future__ import annotations

import time
from pathlib import Path

from django.conf import settings


class PaymentGatewayDown(Exception):
    """The bank's computer takes no call: it will, in a moment."""


class PaymentGatewayTimeout(Exception):
    """The bank's computer took the call and sent no receipt."""


def charge(order_id: int, *, attempt: int) -> None:
    """Charge an order.

    Raises:
        PaymentGatewayDown: at the first attempt of every fifth order, and of most while the bank is broken.
        PaymentGatewayTimeout: for every third order while the bank is broken.
    """
    _connect(order_id, attempt)
    time.sleep(0.1)
    _wait_for_receipt(order_id)


def is_down() -> bool:
    """Say whether somebody has broken the bank."""
    return _flag().exists()


def set_down(down: bool) -> None:
    """Break the bank, or put it right: for every worker that shares our folder."""
    if down:
        _flag().touch()
    else:
        _flag().unlink(missing_ok=True)


def _connect(order_id: int, attempt: int) -> None:
    if (order_id % 5 == 0 and attempt == 0) or (order_id % 3 and is_down()):
        raise PaymentGatewayDown(f"The payment gateway did not answer for order {order_id}.")


def _wait_for_receipt(order_id: int) -> None:
    if is_down():
        raise PaymentGatewayTimeout(f"The payment gateway sent no receipt for order {order_id}.")


def _flag() -> Path:
    # A file, so that a command in another terminal reaches the workers: on one machine that is enough.
    # (mypy knows the settings of the tests, not ours.)
    return Path(settings.SHOP_FOLDER) / "payments-are-down"  # type: ignore[misc]
