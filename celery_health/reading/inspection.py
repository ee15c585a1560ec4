"""Ask live workers over Celery's remote control: the fallback for workers that keep no record.

A known roster is asked by name with one command, over a connection of its own, and the answer is there as
soon as the last of them has replied. What the broker knows is used to wait for nobody who cannot answer:
Redis says how many subscribers a broadcast reached, RabbitMQ which mailboxes exist.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from celery_health.deadline import Deadline
from celery_health.headers import REPORT_COMMAND
from celery_health.reading.conversation import Census, Conversation, Mailbox

if TYPE_CHECKING:
    from celery import Celery

#: What a worker without it is asked instead.
BUILTIN_COMMANDS: Final = ("stats", "active", "reserved", "scheduled", "active_queues", "registered")


@dataclass(frozen=True, kw_only=True, slots=True)
class Replies:
    """What came back."""

    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Host name → its record, from workers with `REPORT_COMMAND`."""
    builtin: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Host name → built-in command → reply, from workers without it."""
    silent: tuple[str, ...] = ()
    """Asked, maybe alive, and did not answer in time."""
    listeners: int | None = None
    """How many the question reached, whoever they are; None where the broker does not say."""


class Inspector:
    """Asks the workers of one app's broker, one call at a time."""

    def __init__(self, app: Celery) -> None:
        self._mailbox = Mailbox(app)

    @property
    def mailbox_suffix(self) -> str:
        """Return what follows a worker's name in the name of its mailbox queue (``kombu.pidbox``)."""
        return self._mailbox.suffix

    def ask(self, roster: Sequence[str], deadline: Deadline, *, plain: Collection[str] = ()) -> Replies:
        """Ask every worker of `roster` for its record, and return when all have answered or time is up.

        Args:
            roster: host names.
            deadline: for the whole inspection.
            plain: those known to run without celery_health: a question that a worker does not know is an
                error in its log.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        if not roster:
            return Replies()
        ours = [name for name in roster if name not in plain]
        with Conversation(self._mailbox, deadline) as conversation:
            answers = conversation.call(REPORT_COMMAND, ours) if ours else {}
            reports = {
                name: body for name, body in answers.items() if isinstance(body, dict) and "error" not in body
            }
            without = [name for name in roster if name in plain or (name in answers and name not in reports)]
            builtin = conversation.call_all(BUILTIN_COMMANDS, without) if without else {}
            listeners = conversation.listeners
        answered = {*reports, *(name for name, replies in builtin.items() if replies)}
        return Replies(
            reports=reports,
            builtin={name: replies for name, replies in builtin.items() if replies},
            silent=tuple(name for name in roster if name not in answered),
            listeners=listeners,
        )

    def census(self, deadline: Deadline) -> Census | None:
        """Ask everybody who listens, and count: None where the broker does not say how many that are.

        Raises:
            BrokerError: the broker cannot be reached, or does not let us ask.
        """
        with Conversation(self._mailbox, deadline) as conversation:
            return conversation.count()

    def discover(self, deadline: Deadline) -> tuple[str, ...]:
        """Return who answers a bare broadcast: slow, so never on a request's path.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        with Conversation(self._mailbox, deadline) as conversation:
            return tuple(sorted(conversation.call("ping", None)))
