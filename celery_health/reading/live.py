"""Who is alive by live inspection: of the workers that keep no record, and of other applications' workers."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from celery_health.brokers.base import Broker
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded, ThreadError
from celery_health.reading.consumption import Silent
from celery_health.reading.flight import Run, RunAbandonedError, SharedFlight
from celery_health.reading.inspection import Inspector
from celery_health.reading.known_workers import MAX_SILENT_PAUSE_SECONDS, KnownWorkers
from celery_health.reading.namesakes import Namesakes, ours_of
from celery_health.reading.questions import BEAT_PREFIX
from celery_health.records import InspectionState, Worker
from celery_health.topology import Topology

if TYPE_CHECKING:
    from celery import Celery

#: How often, at most, everybody is asked who is there, or who listens.
DISCOVERY_SECONDS: Final = 30.0
#: The same while nobody that was known is left: a new worker must not be called missing for long.
DISCOVERY_RETRY_SECONDS: Final = 5.0
#: The same where the last time showed that something has changed, and before that is believed.
CONFIRM_SECONDS: Final = 2.0
#: How long a discovery may take in its own thread.
DISCOVERY_DEADLINE_SECONDS: Final = 4.0
#: How long a census waits for who does not answer at once.
CENSUS_SECONDS: Final = 0.5
#: How long the answers of one round are waited for.
ASK_SECONDS: Final = 1.0
#: The same where workers look for messages only once a second (kombu's ``polling_interval``).
POLLED_ASK_SECONDS: Final = 1.6
#: How long a failure to ask is believed.
REFUSED_SECONDS: Final = 2.0
#: How long those are waited for of whom only the broker's count of consumers tells.
OTHERS_SECONDS: Final = 0.5
#: How often the broker is asked who is bound for remote control, while workers report themselves.
ROSTER_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """What one look found."""

    state: InspectionState
    workers: tuple[Worker, ...] = ()
    """Ours."""
    foreign: tuple[Worker, ...] = ()
    """Other applications'."""
    foreign_busy: tuple[Worker, ...] = ()
    """Other applications' that answered some minutes ago, may live, and did not answer now."""
    silent: tuple[Silent, ...] = ()
    unasked: str | None = None
    """Why workers that keep no record could not be asked; None when they were."""


class LiveWorkers:
    """Looks at the workers of one app, one look at a time, and remembers who answered."""

    def __init__(self, app: Celery, app_id: str, *, memory_seconds: float) -> None:
        self._app = app
        self._inspector = Inspector(app)
        self._known = KnownWorkers(app_id, memory_seconds=memory_seconds)
        self._namesakes = Namesakes(app_id)
        self._discovery = SharedFlight(
            lambda run: self._inspector.discover(run.deadline),
            name="celery-health-discovery",
            run_seconds=DISCOVERY_DEADLINE_SECONDS,
            max_age_seconds=DISCOVERY_SECONDS,
        )
        self._counted_at = float("-inf")
        """When the last census was taken that is known of."""
        self._counted: int | None = None
        """How many it reached."""
        self._listeners: int | None = None
        """How many the last question reached."""
        self._roster: tuple[float, tuple[str, ...]] | None = None
        self._refused: tuple[float, str] | None = None
        """When asking last failed, and why: not tried again at each reading."""
        self._others: tuple[float, tuple[str, ...]] = (float("-inf"), ())
        """When those were last looked for of whom only the broker's count tells, and who answered."""

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the queues that our workers consumed when they last answered."""
        return self._known.queues

    @property
    def answered(self) -> tuple[Worker, ...]:
        """Return our workers as they last answered."""
        return self._known.answered

    def look(
        self,
        run: Run,
        broker: Broker,
        topology: Topology,
        deadline: Deadline,
        *,
        live: Collection[str] = (),
        lost: Collection[str] = (),
    ) -> Sighting:
        """Return the workers but those that are `live` by their own records; never raises for a broker.

        Args:
            run: may be given up meanwhile.
            broker: open.
            topology: tells which workers without celery_health are ours.
            deadline: for the whole look.
            live: names whose records say that they live.
            lost: names whose records have ended: their silence says nothing new.

        Raises:
            RunAbandonedError: another run has taken the place of `run`.
        """
        if not broker.capabilities.supports_remote_control:
            return _unasked(f"the {broker.transport} transport has no remote control", supported=False)
        if not self._app.conf.worker_enable_remote_control:
            return _unasked("remote control is off (worker_enable_remote_control)", supported=False)
        if self._refused is not None and time.monotonic() - self._refused[0] < REFUSED_SECONDS:
            return _unasked(self._refused[1], error=self._refused[1])
        try:
            names = self._names(run, broker, live, deadline)
            if names is None:
                return _unasked("no worker has answered yet", error="No worker has been discovered yet.")
            if broker.capabilities.supports_roster:
                self._look_for_namesakes(run, names, live, topology, deadline)
                self._count(run, names, deadline, nobody=not live)
            elif not broker.capabilities.supports_consumer_count:
                names = tuple(dict.fromkeys([*names, *self._known.ours]))
                if not names:
                    return _unasked("no worker has answered yet", error="No worker has answered yet.")
            self._ask(run, broker, names, topology, deadline)
        except RunAbandonedError:
            raise
        except BrokerError as error:
            with run.updating():
                self._refused = time.monotonic(), str(error)
            return _unasked(str(error), error=str(error))
        except (DeadlineExceeded, ThreadError) as error:
            return _unasked(str(error), error=str(error))
        return self._sighting(names, frozenset(lost))

    def others(
        self, run: Run, topology: Topology, deadline: Deadline, *, live: Collection[str], least: int
    ) -> tuple[Worker, ...]:
        """Return other applications' workers, where the broker counts consumers that no record explains.

        For brokers that do not know names: everybody is asked, at most every half minute, and not for long.

        Args:
            run: may be given up meanwhile.
            topology: tells which workers without celery_health are ours.
            deadline: for the whole search.
            live: names whose records say that they live.
            least: how many others there are at least, by the broker's count.

        Raises:
            RunAbandonedError: another run has taken the place of `run`.
        """
        if not least or not self._app.conf.worker_enable_remote_control:
            return ()
        if time.monotonic() - self._others[0] >= DISCOVERY_SECONDS:
            try:
                replies = self._inspector.ask_others(
                    live, least, OTHERS_SECONDS, deadline.within(ASK_SECONDS)
                )
            except (BrokerError, DeadlineExceeded):
                return ()
            names = (*replies.reports, *replies.builtin)
            with run.updating():
                self._known.note_replies(replies, topology, time.monotonic())
                self._others = time.monotonic(), names
        return self._known.foreign(self._others[1])

    # Who is there to ask ----------------------------------------------------------------------------

    def _names(
        self, run: Run, broker: Broker, live: Collection[str], deadline: Deadline
    ) -> tuple[str, ...] | None:
        """Return the names to ask; None while no way to know them has answered."""
        if broker.capabilities.supports_roster:
            names: tuple[str, ...] | None = self._bound(run, broker, deadline, is_urgent=not live)
        else:
            names = self._discovered(run, broker, deadline)
        if names is None:
            return None
        reported = frozenset(live)
        return tuple(name for name in names if name not in reported and not name.startswith(BEAT_PREFIX))

    def _bound(self, run: Run, broker: Broker, deadline: Deadline, *, is_urgent: bool) -> tuple[str, ...]:
        now, kept = time.monotonic(), self._roster
        if kept is not None and not is_urgent and now - kept[0] < ROSTER_SECONDS:
            return kept[1]
        names = broker.roster(deadline) or ()
        with run.updating():
            self._roster = now, names
        return names

    def _discovered(self, run: Run, broker: Broker, deadline: Deadline) -> tuple[str, ...] | None:
        discovered = self._discovery.refresh()
        if discovered is None:
            discovered = self._discovery.get(deadline)
        names, age = discovered
        with run.updating():
            self._known.note_listening(names, time.monotonic() - age)
        if not broker.capabilities.supports_consumer_count:
            return names
        # Who is busy in its main process answers no discovery, and has its mailbox all the same.
        missed = [name for name in self._known.listening if name not in names]
        present = self._present((*names, *missed), broker, deadline)
        with run.updating():
            self._known.note_gone([name for name in missed if name not in present], time.monotonic())
        if present or age < DISCOVERY_RETRY_SECONDS:
            return present
        # All that were known are gone, but others may have come since: ask again before saying "nobody".
        self._discovery.forget()
        return self._present(self._discovery.get(deadline)[0], broker, deadline)

    def _present(self, names: tuple[str, ...], broker: Broker, deadline: Deadline) -> tuple[str, ...]:
        """Return those of `names` whose mailbox still exists on the broker, which can be asked that."""
        if not names:
            return names
        suffix = self._inspector.mailbox_suffix
        reading = broker.read([name + suffix for name in names], deadline)
        return tuple(
            name
            for name in names
            if not (box := reading.queues.get(name + suffix)) or box.exists or box.error
        )

    # Who listens, where the broker counts them ------------------------------------------------------

    def _count(self, run: Run, names: Collection[str], deadline: Deadline, *, nobody: bool) -> None:
        """Find out which of `names` listen, if that is due: a binding outlives a worker that was killed.

        All that listen and are not busy answer in milliseconds; who is busy is not waited for.
        """
        pause = self._pause(names, nobody=nobody)
        now = time.monotonic()
        if pause is None or now - self._counted_at < pause:
            return
        census = self._inspector.census(deadline.within(CENSUS_SECONDS))
        with run.updating():
            self._counted_at = now
            if census is not None:
                self._counted = self._listeners = census.listeners
                self._known.note_census(census, names, now)

    def _look_for_namesakes(
        self, run: Run, names: Collection[str], live: Collection[str], topology: Topology, deadline: Deadline
    ) -> None:
        """Find out, if that is due, whether workers of other projects listen under the names of ours."""
        asked = sorted({*names, *live})
        if not self._namesakes.is_due(asked, time.monotonic()):
            return
        said = self._inspector.namesakes(asked, deadline.within(CENSUS_SECONDS)) if asked else None
        with run.updating():
            self._namesakes.note(said, asked, live, topology, time.monotonic())

    def _pause(self, names: Collection[str], *, nobody: bool) -> float | None:
        """Return how long the last census holds; None where none is needed."""
        unresolved = self._known.unresolved(names)
        if self._listeners != self._counted or any(self._known.is_new_or_absent(name) for name in unresolved):
            return CONFIRM_SECONDS
        if nobody and not self._known.foreign(names) and not self._known.answering(names):
            return DISCOVERY_RETRY_SECONDS
        return DISCOVERY_SECONDS if unresolved or self._known.gone(names) else None

    def _ask(
        self, run: Run, broker: Broker, names: Collection[str], topology: Topology, deadline: Deadline
    ) -> None:
        most = self._most_pause(broker, names)
        due = self._known.due(names, time.monotonic(), most_pause_seconds=most)
        if not due:
            return
        is_quick = broker.capabilities.supports_roster or broker.capabilities.supports_consumer_count
        patience = deadline.within(ASK_SECONDS if is_quick else POLLED_ASK_SECONDS)
        replies = self._inspector.ask(
            due,
            patience,
            reporting=self._known.reporting(due),
            plain=self._known.reporting(due, are=False),
            doubled=self._namesakes.names,
            at_once=not is_quick,
        )
        with run.updating():
            self._listeners = replies.listeners
            if replies.doubled:
                ours = {name: ours_of(said, topology) for name, said in replies.doubled.items()}
                replies = replace(replies, builtin={**replies.builtin, **ours})
                self._namesakes.add(replies.doubled, (), topology, time.monotonic())
            self._known.note_replies(replies, topology, time.monotonic())

    def _most_pause(self, broker: Broker, names: Collection[str]) -> float:
        """Return after how long one that did not answer is asked again, however often it did not."""
        if broker.capabilities.supports_roster:
            return MAX_SILENT_PAUSE_SECONDS
        # Where nobody counts who listens, asking again is the only way to hear of one that came back.
        is_alone = broker.capabilities.supports_consumer_count and not self._known.answering(names)
        return DISCOVERY_RETRY_SECONDS if is_alone else DISCOVERY_SECONDS

    def _sighting(self, names: Collection[str], lost: Collection[str]) -> Sighting:
        silent = [one for one in self._known.silent(names) if one.hostname not in lost]
        # Another application's is no worker of ours that could be missing.
        ours = tuple(one.hostname for one in silent if not one.is_foreign)
        return Sighting(
            state=InspectionState(asked=True, complete=not ours, roster=tuple(names), silent=ours),
            workers=self._known.workers(names, time.monotonic()),
            foreign=(*self._known.foreign(names), *self._namesakes.workers),
            foreign_busy=self._known.foreign_busy(names, time.monotonic()),
            silent=tuple(silent),
        )


def _unasked(why: str, *, supported: bool = True, error: str | None = None) -> Sighting:
    state = InspectionState(supported=supported, asked=error is not None, error=error)
    return Sighting(state=state, unasked=f"workers without celery_health cannot be asked: {why}")
