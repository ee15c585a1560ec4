"""How celery_health gets into beat: `connect` is all that ``AppConfig.ready`` calls.

It imports nothing of the monitoring; that happens in the process that turns out to be a beat.
"""

from __future__ import annotations

import contextlib
from typing import Any

from celery.signals import beat_init


def connect() -> None:
    """Have every beat that starts in this process monitored, and those embedded in workers that it forks."""
    beat_init.connect(_on_beat_init, weak=False, dispatch_uid="celery_health.beat")
    # RedBeat waits in a receiver of its own until it holds its lock, maybe for days. A project may import
    # it before Django loads us; a standby that has not begun to report would look dead.
    with contextlib.suppress(Exception):
        signal: Any = beat_init
        mine = next(one for one in signal.receivers if one[1] is _on_beat_init)
        signal.receivers.remove(mine)
        signal.receivers.insert(0, mine)
        signal.sender_receivers_cache.clear()


def _on_beat_init(sender: Any, **kwargs: Any) -> None:
    # Celery logs what a receiver raises and goes on: a wrong setting leaves a beat unwatched, not dead.
    from celery_health.beat.monitor import BeatMonitor
    from celery_health.conf import get_settings

    BeatMonitor(sender, settings=get_settings()).start()
