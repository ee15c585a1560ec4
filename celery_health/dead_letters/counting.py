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

if TYPE_CHECKING:
    from celery import Celery


class LetterCount:
    """Counts the letters of one app, over a connection of its own. One thread at a time."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._box: Box | None = None
        self._unsupported = False
        self._last: Mapping[str, int | None] = {}

    def read(self, queues: Iterable[str], deadline: Deadline) -> Mapping[str, int | None] | None:
        """Return queue → letters, None for a number that is unknown; None while dead letters are off.

        `queues` are those that may have some. Off means that no task of this process asks for them, and that
        there are none either.
        """
        in_use = self._is_in_use()
        try:
            box = self._open()
            # RabbitMQ can only be asked queue by queue, and logs an error for each that does not exist.
            if not in_use and not box.knows_its_queues:
                return None
            found = box.known_sizes(list(queues), deadline)
        except UnsupportedError:
            self._unsupported = True
            return None
        except BrokerError:
            return self.unknown()
        self._last = found
        return found if found or in_use else None

    def unknown(self) -> Mapping[str, int | None] | None:
        """Return what there is to say when the broker cannot be asked."""
        if self._unsupported or not (self._last or self._is_in_use()):
            return None
        return dict.fromkeys(self._last or (str(self._app.conf.task_default_queue),))

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._box is not None:
            self._box.close()

    def _open(self) -> Box:
        if self._unsupported:
            raise UnsupportedError
        if self._box is None:
            self._box = open_box(self._app, self._settings)
        return self._box

    def _is_in_use(self) -> bool:
        if self._settings.dead_letters.enabled:
            return True
        # Those that are known yet: asking for app.tasks would import and finalise in the reader's time.
        app: Any = self._app
        tasks = list(app._tasks.values()) if app.finalized else []
        return any(options is not None and options.dead_letter for options in map(options_of, tasks))
