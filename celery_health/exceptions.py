"""Every error this app raises, under one root. A message names the subject, the value and the fix."""

from __future__ import annotations


class CeleryHealthError(Exception):
    """Celery health could not do what was asked."""


class ConfigurationError(CeleryHealthError):
    """Something in the project's settings keeps celery_health from working; the message names the fix."""


class ImportedInThreadError(ConfigurationError):
    """The project's modules can be imported in a main thread alone, and this is another."""


class BrokerError(CeleryHealthError):
    """The broker refused, failed, or did not answer within the deadline."""


class RefusedError(BrokerError):
    """The broker answers, and takes no messages."""


class StoreError(CeleryHealthError):
    """The store refused, failed, or did not answer within the deadline."""


class LetterNotFoundError(CeleryHealthError):
    """No dead letter has this id; the message says how far the look went."""


class ReadableError(CeleryHealthError):
    """There is nothing to set aside: workers can read what waits, or nothing waits."""


class NotConsumedError(CeleryHealthError):
    """Nobody is known to consume the queue that letters would go back to; they may be forced to."""


class UnsupportedError(CeleryHealthError):
    """This transport has no way to answer; the message names one that has."""


class DeadlineExceeded(CeleryHealthError):
    """The time that the caller allowed is used up."""


class LateError(CeleryHealthError):
    """This process was late itself: that says nothing of what was to be asked. The message says by what."""


class LateBrokerError(LateError, BrokerError):
    """This process was late itself; whether the broker answers is not known."""


class LateStoreError(LateError, StoreError):
    """This process was late itself; whether the store answers is not known."""


class LateDeadlineError(LateError, DeadlineExceeded):
    """The time is used up, and this process used it up itself."""


class ThreadError(CeleryHealthError):
    """This process cannot start a thread to work in: no fault of what was to be asked."""


class RaisedError(CeleryHealthError):
    """Code of the project's raised what is no `Exception`, as ``sys.exit()`` does, when it was asked."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised
        """What it was."""
        super().__init__(f"{type(raised).__name__}: {raised}")
