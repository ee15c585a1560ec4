"""What there is one of in each process, whatever it is: worker, beat or producer."""

from __future__ import annotations

import os
from typing import Final

from celery_health.reporting.clock import StoreClock
from celery_health.reporting.elsewhere import Elsewhere, judged
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from celery_health.reporting.troubles import Troubles

#: Everything that this process counts; its agent drains it. Empty again after a fork.
TOTALS: Final = Totals()
FAULTS: Final = Faults(TOTALS)
#: What this process sends to other brokers. Empty again after a fork.
ELSEWHERE: Final = Elsewhere(lambda app: judged(app, has_agent=has_agent()))
#: What this process could not write. Empty again after a fork.
TROUBLES: Final = Troubles(TOTALS, ELSEWHERE)
CLOCK: Final = StoreClock()

_promised = 0


def promise_agent() -> None:
    """Say that an agent runs in this process, or soon will: a worker or beat starts here."""
    global _promised
    _promised = os.getpid()
    CLOCK.share()


def withdraw_agent() -> None:
    """Say that the agent has ended and the process may live on."""
    global _promised
    _promised = 0


def has_agent() -> bool:
    """Say whether this process has an agent, or will have one, that flushes what is counted in it."""
    return _promised == os.getpid()


os.register_at_fork(after_in_child=CLOCK.forked)
