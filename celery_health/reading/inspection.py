"""Ask live workers over Celery's remote control: the fallback for workers that keep no record.

A known roster is asked by name, over a connection of its own, and the answer is there as soon as the last of
them has replied. Those known to keep a record are asked for that, in one command; of others, Celery's own
``stats`` tells whether they do. What the broker knows is used to wait for nobody who cannot answer:
Redis says how many subscribers a broadcast reached, RabbitMQ which mailboxes exist.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from celery_health.deadline import Deadline
from celery_health.headers import REPORT_COMMAND, STATS_MARK
from celery_health.reading.conversation import Conversation, Mailbox
from celery_health.reading.questions import Census, Question, Said, is_doubled, processes

if TYPE_CHECKING:
    from celery import Celery

#: What every worker knows; in its answer, one with celery_health says that it knows `REPORT_COMMAND` too.
STATS: Final = "stats"
#: What a worker without it is asked besides.
OTHER_COMMANDS: Final = ("active", "reserved", "scheduled", "active_queues", "registered")
BUILTIN_COMMANDS: Final = (STATS, *OTHER_COMMANDS)
#: Those without which an answer does not tell whose a worker is.
_TELLING: Final = ("active_queues", "registered")


@dataclass(frozen=True, kw_only=True, slots=True)
class Replies:
    """What came back."""

    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Host name → its record, from workers with `REPORT_COMMAND`."""
    builtin: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Host name → built-in command → reply, from workers without it, or too late with it."""
    reporting: frozenset[str] = frozenset()
    """Host names of those that have `REPORT_COMMAND`, by their own word."""
    silent: tuple[str, ...] = ()
    """Asked, maybe alive, and did not answer in time."""
    doubled: Mapping[str, Said] = field(default_factory=dict)
    """Host name → each reply, of names that two workers share, one of them without celery_health."""
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

    def ask(
        self,
        roster: Sequence[str],
        deadline: Deadline,
        *,
        reporting: Collection[str] = (),
        plain: Collection[str] = (),
        doubled: Collection[str] = (),
        at_once: bool = False,
    ) -> Replies:
        """Ask every worker of `roster` for its record, and return when all have answered or time is up.

        A question that a worker does not know is an error in its log, with a traceback: nobody is asked for
        a record who has not said that it keeps one.

        Args:
            roster: host names.
            deadline: for the whole inspection.
            reporting: those that have `REPORT_COMMAND`, as they last said.
            plain: those that have not, as they last said.
            doubled: those that a worker without celery_health shares: the same is asked of both.
            at_once: ask everything of whom nothing is known: a second question comes too late here.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        if not roster:
            return Replies()
        with Conversation(self._mailbox, deadline) as conversation:
            inquiry = _Inquiry(conversation, doubled)
            told = [name for name in roster if name in reporting and name not in doubled]
            inquiry.ask([REPORT_COMMAND], told)
            whole = [name for name in roster if name in doubled or (at_once or name in plain)]
            whole = [name for name in whole if name not in told]
            inquiry.ask(BUILTIN_COMMANDS, whole)
            inquiry.ask([STATS], [name for name in roster if name not in {*told, *whole}])
            return inquiry.replies(roster, deadline)

    def ask_others(self, known: Collection[str], least: int, seconds: float, deadline: Deadline) -> Replies:
        """Ask those whom nobody knows by name, as `ask` does.

        Args:
            known: host names of those that need not be asked.
            least: how many others there are at least.
            seconds: how long that many are waited for.
            deadline: for the whole inspection.

        Raises:
            BrokerError: the broker cannot be reached, or does not let us ask.
        """
        with Conversation(self._mailbox, deadline) as conversation:
            names = conversation.find(known, least, seconds)
            inquiry = _Inquiry(conversation)
            inquiry.ask([STATS], names)
            return inquiry.replies(names, deadline)

    def namesakes(self, names: Sequence[str], deadline: Deadline) -> Mapping[str, Said] | None:
        """Return each reply that comes under `names`; None where no more listen than there are names.

        Asked twice: a process that is about to end answers once.

        Raises:
            BrokerError: the broker cannot be reached, or does not let us ask.
        """
        with Conversation(self._mailbox, deadline) as conversation:
            first = conversation.ask((STATS, *_TELLING), names)
            if conversation.listeners is None or conversation.listeners <= len(names):
                return None
            conversation.wait(first)
            conversation.settle()
            (again,) = conversation.ask([STATS], names)
            conversation.wait([again])
            conversation.settle()
        found: dict[str, Said] = {}
        for name in names:
            said = {question.command: question.said_by(name) for question in first}
            left = processes(again.said_by(name))
            said[STATS] = [one for pid, one in processes(said[STATS]).items() if pid in left]
            found[name] = said
        return found

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
            return conversation.discover()


class _Inquiry:
    """The questions of one conversation: what each worker says decides over what it is asked next."""

    def __init__(self, conversation: Conversation, doubled: Collection[str] = ()) -> None:
        self._conversation = conversation
        self._doubled = set(doubled)
        self._questions: list[Question] = []
        self._asked: set[tuple[str, str]] = set()
        """Command and host name."""

    def ask(self, commands: Sequence[str], names: Sequence[str]) -> bool:
        """Ask those of `names`; return whether there were any."""
        self._questions += self._conversation.ask(commands, names)
        self._asked.update((command, name) for command in commands for name in names)
        return bool(names)

    def _follow_up(self) -> bool:
        """Ask those that have just said what they are for the rest; return whether there were any."""
        stats = self._answers(STATS)
        reporting = [
            name for name, reply in stats.items() if STATS_MARK in reply and name not in self._doubled
        ]
        others = [name for name in stats if name not in reporting]
        # One that was known to keep a record and is another process now.
        changed = [name for name, reply in self._answers(REPORT_COMMAND).items() if not _is_report(reply)]
        asked = [
            self.ask([REPORT_COMMAND], self._unasked(REPORT_COMMAND, reporting)),
            self.ask(OTHER_COMMANDS, self._unasked(OTHER_COMMANDS[0], others)),
            self.ask(BUILTIN_COMMANDS, self._unasked(STATS, changed)),
        ]
        return any(asked)

    def _may_be_two(self, roster: Sequence[str]) -> bool:
        """Say whether an answer of a second worker may still come under a name that has answered."""
        listeners = self._conversation.listeners
        if listeners is None or listeners <= len(roster):
            return False
        news = [name for name in self._answers(STATS) if (OTHER_COMMANDS[0], name) not in self._asked]
        return bool(self._doubled) or bool(self._unasked(REPORT_COMMAND, news))

    def _said(self, name: str) -> Said:
        found: dict[str, list[Any]] = {}
        for question in self._questions:
            found.setdefault(question.command, []).extend(question.said_by(name))
        return found

    def _unasked(self, command: str, names: Sequence[str]) -> list[str]:
        return [name for name in names if (command, name) not in self._asked]

    def _answers(self, command: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for question in self._questions:
            if question.command == command:
                found.update(question.answers)
        return found

    def replies(self, roster: Sequence[str], deadline: Deadline) -> Replies:
        """Wait until all of `roster` have answered what there is to ask, or time is up; return what came."""
        while True:
            is_over = self._conversation.wait(self._questions)
            if self._may_be_two(roster):
                self._conversation.settle()
                self._doubled.update(name for name in roster if is_doubled(self._said(name)))
            if deadline.expired or (not self._follow_up() and is_over):
                break
        answers = {command: self._answers(command) for command in (REPORT_COMMAND, *BUILTIN_COMMANDS)}
        reports = {name: reply for name, reply in answers.pop(REPORT_COMMAND).items() if _is_report(reply)}
        marked = frozenset(name for name, reply in answers[STATS].items() if STATS_MARK in reply)
        said = {name: self._said(name) for name in roster if name in self._doubled and name not in reports}
        doubled = {name: one for name, one in said.items() if all(one.get(each) for each in _TELLING)}
        builtin = {
            name: {command: found[name] for command, found in answers.items() if name in found}
            for name in roster
            if name not in {*reports, *said} and all(name in answers[command] for command in _TELLING)
        }
        return Replies(
            reports=reports,
            builtin=builtin,
            reporting=marked.union(reports),
            silent=tuple(name for name in roster if name not in {*reports, *builtin, *doubled}),
            doubled=doubled,
            listeners=self._conversation.listeners,
        )


def _is_report(reply: object) -> bool:
    return isinstance(reply, dict) and "error" not in reply
