"""How long a writer waits for its store: as long as the network between them needs, and not for ever."""

from __future__ import annotations

from typing import Final

#: For each step of the network, while nothing is known of it.
STEP_SECONDS: Final = 0.25
MAX_STEP_SECONDS: Final = 2.0
#: In all, in steps: opening a connection takes several.
STEPS: Final = 4
MAX_PUBLISH_SECONDS: Final = 6.0
#: How much longer than the last call took the next may take.
_MARGIN: Final = 2.0


class Pace:
    """Grows with each call that timed out, and shrinks to what calls take."""

    def __init__(self) -> None:
        self.step_seconds = STEP_SECONDS

    @property
    def publish_seconds(self) -> float:
        """Return what one publication may take in all, connecting included."""
        return min(STEPS * self.step_seconds, MAX_PUBLISH_SECONDS)

    def timed_out(self) -> None:
        """Allow for more: the store may be far away, not down."""
        self.step_seconds = min(2 * self.step_seconds, MAX_STEP_SECONDS)

    def took(self, seconds: float) -> None:
        """Come back to what a call that was answered needs."""
        wanted = max(self.step_seconds / 2, _MARGIN * seconds)
        self.step_seconds = min(max(wanted, STEP_SECONDS), MAX_STEP_SECONDS)
