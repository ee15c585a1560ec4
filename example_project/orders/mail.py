"""The shop's mail: some addresses do not exist, and some mailboxes are full."""

from __future__ import annotations

import time


class AddressUnknown(Exception):
    """Nobody lives there: trying again is of no use."""


class MailboxFull(Exception):
    """The customer reads no mail: tomorrow perhaps."""


def address_of(order_id: int) -> str:
    """Return where to write to; every seventh customer gave an address that does not exist.

    Raises:
        AddressUnknown: of that customer.
    """
    if order_id % 7 == 0:
        raise AddressUnknown(f"Order {order_id} was placed with an address that does not exist.")
    return f"customer-{order_id}@example.com"


def deliver(address: str, order_id: int) -> None:
    """Send a mail; every thirteenth mailbox is full.

    Raises:
        MailboxFull: of that customer.
    """
    time.sleep(0.05)
    if order_id % 13 == 0:
        raise MailboxFull(f"The mailbox of {address} is full.")
