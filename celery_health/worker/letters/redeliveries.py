"""How often a message went back to its queue because the process that ran it died."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

#: Messages remembered; the one that went back longest ago is forgotten first.
MAX_REMEMBERED: Final = 10_000
#: What RabbitMQ's quorum queues count by themselves, over all workers.
_DELIVERY_COUNT: Final = "x-delivery-count"


class Redeliveries:
    """Counts for one worker: no other message carries how often it was delivered.

    Called in the main thread of a worker whose pool has processes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: OrderedDict[str, int] = OrderedDict()

    def is_one_too_many(self, request: Any) -> bool:
        """Say whether the message of a lost run has been delivered again as often as it may be.

        If not, it goes back now, and that is counted.
        """
        counted = request.message.headers.get(_DELIVERY_COUNT)
        before = max(self._times.pop(request.id, 0), counted if isinstance(counted, int) else 0)
        if before >= self._most:
            return True
        self._times[request.id] = before + 1
        if len(self._times) > MAX_REMEMBERED:
            self._times.popitem(last=False)
        return False
