"""Labels that have more values than they may: said once, by the agent's thread."""

from __future__ import annotations

import logging
from collections.abc import Iterable

logger = logging.getLogger("celery_health")


class Overflows:
    """Logs the first overflow of each label. How many there were, the metrics say."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, labels: Iterable[str]) -> None:
        """Log those of `labels` that were not logged before."""
        for label in labels:
            if label not in self._told:
                self._told.add(label)
                logger.warning(
                    "The metric label '%s' has more values than its cap: the next ones count as 'other'. "
                    "This is logged once and counted in celery_health_label_overflow_total. What to do: "
                    "docs/how-to/labels.md.",
                    label,
                )
