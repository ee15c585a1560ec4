"""The connections of one run: to broker, store and dead letters."""

from __future__ import annotations

from dataclasses import dataclass

from celery_health.brokers.base import Broker
from celery_health.dead_letters.boxes import Box
from celery_health.reading.recorded import RecordedWorkers


@dataclass(kw_only=True, slots=True)
class Lines:
    """What one run speaks over. What they remember goes with them."""

    broker: Broker
    recorded: RecordedWorkers
    box: Box | None
    """None where the transport keeps no dead letters."""

    def close(self) -> None:
        """Close all of them; a broker that is away is no error."""
        self.recorded.close()
        self.broker.close()
        if self.box is not None:
            self.box.close()
