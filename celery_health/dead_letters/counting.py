"""How many dead letters there are, asked with every reading: cheap, and silent where nobody keeps any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from celery_health.conf import Settings
from celery_health.dead_letters.boxes import Box
from celery_health.dead_letters.opening import open_box
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, UnsupportedError
from celery_health.monitoring import options_of
from celery_health.records import LettersLack

if TYPE_CHECKING:
    from celery import Celery


class LetterCount:
    """Counts the letters of one app, and remembers how many there were."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._unsupported = False
        self._last: Mapping[str, int | None] = {}

    def open(self) -> Box | None:
        """Return a box to count in, of the caller's own; None where the transport keeps no dead letters."""
        try:
            return open_box(self._app, self._settings)
        except UnsupportedError:
            self._unsupported = True
            return None

    def read(
        self, box: Box | None, queues: Iterable[str], deadline: Deadline
    ) -> Mapping[str, int | None] | None:
        """Return queue → letters in `box`; None when it could not be asked, and while dead letters are off.

        `queues` are those that may have some.
        """
        # RabbitMQ can only be asked queue by queue, and logs an error for each that does not exist.
        if box is None or not (box.knows_its_queues or self._is_in_use()):
            return None
        try:
            return box.known_sizes(list(queues), deadline)
        except BrokerError:
            return None

    def keep(self, found: Mapping[str, int | None] | None) -> Mapping[str, int | None] | None:
        """Remember what `read` found; return it with None for a number that is unknown, None when all is off.

        Off means that no task of this process asks for them, and that there are none either.
        """
        if found is None:
            return self.unknown()
        self._last = found
        return found if found or self._is_in_use() else None

    def unknown(self) -> Mapping[str, int | None] | None:
        """Return what there is to say when the broker cannot be asked."""
        if self._unsupported or not (self._last or self._is_in_use()):
            return None
        return dict.fromkeys(self._last or (str(self._app.conf.task_default_queue),))

    def lack(self, letters: Mapping[str, int | None] | None) -> LettersLack | None:
        """Return why there are no numbers, where `letters` are None."""
        if letters is not None:
            return None
        if not self._is_in_use():
            return LettersLack.OFF
        return LettersLack.UNSUPPORTED if self._unsupported else None

    def _is_in_use(self) -> bool:
        if self._settings.dead_letters.enabled:
            return True
        # Those that are known yet: asking for app.tasks would import and finalise in the reader's time.
        app: Any = self._app
        tasks = list(app._tasks.values()) if app.finalized else []
        return any(options is not None and options.dead_letter for options in map(options_of, tasks))
