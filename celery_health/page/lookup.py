"""What a few typed characters may mean: queues, tasks, workers, entries, letters, ids of tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from celery_health.dead_letters.records import DeadLetter
from celery_health.reading.schedules import schedule_entries, untold_entries
from celery_health.records import ReservedTask, RunningTask, ScheduledTask, Snapshot, Worker, WorkerState
from celery_health.text.formats import number, plural
from celery_health.text.printable import printable

#: Longer than any id, and than most names; what is behind it is not looked at.
LONGEST_QUERY: Final = 300
MOST_HITS: Final = 50
#: Shorter beginnings of ids fit too many.
SHORTEST_ID: Final = 4
#: For these every letter is looked through, one after the other: no less may choose among them.
SHORTEST_LETTER_ID: Final = 8
_HEX: Final = frozenset("0123456789abcdef-")


class Kind(StrEnum):
    """What was found; its value is the word for it."""

    QUEUE = "queue"
    TASK = "task"
    WORKER = "worker"
    ENTRY = "schedule entry"
    LETTERS = "dead letters"
    LETTER = "dead letter"
    HELD = "task id"


_HeldTask = RunningTask | ReservedTask | ScheduledTask
_ORDER: Final = {kind: number for number, kind in enumerate(Kind)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """One thing that was found."""

    kind: Kind
    name: str
    """As it is: a link leads to exactly this; show it with `printable`."""
    queue: str | None = None
    """Of a letter: the queue whose letter it is."""
    worker: str | None = None
    """Of a task that is held: the worker that holds it."""
    about: str = ""
    """What else is known of it, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search found, and where it looked."""

    query: str
    """As it was looked for."""
    was_cut: bool
    """It was longer."""
    hits: tuple[Hit, ...]
    more: int
    """How many there are besides."""
    searched: str
    """What was looked through, in words."""
    unsearched: tuple[str, ...]
    """What could not be looked at, or was not: whole sentences."""

    @property
    def only(self) -> Hit | None:
        """Return the one hit; None if there are none or several."""
        return self.hits[0] if len(self.hits) == 1 and not self.more else None


class _Thing(NamedTuple):
    hit: Hit
    also: tuple[str, ...] = ()
    """Other beginnings that people know it by."""
    least: int = 0
    """A query of fewer characters means something else."""


def cleaned(query: str) -> str:
    """Return what is looked for: without what surrounds it, and the dots of a name that was cut."""
    text = query[:LONGEST_QUERY].strip()
    for dots in ("...", "…"):
        text = text.removesuffix(dots) or text
    return text


def may_be_letter(query: str, found: Found) -> bool:
    """Say whether letters are worth looking through: an id of one, or nothing else has that name."""
    text = cleaned(query)
    if len(text) < SHORTEST_LETTER_ID or any(character.isspace() for character in text):
        return False
    return set(text.casefold()) <= _HEX or not any(hit.kind is not Kind.HELD for hit in found.hits)


def find(
    query: str,
    snapshot: Snapshot,
    *,
    tasks: Iterable[str] = (),
    suffix: str = ".dead",
    letters: Sequence[DeadLetter] | None = None,
    may_read: bool = True,
    unread: Iterable[str] = (),
) -> Found:
    """Return what begins with `query`, whatever its case: exact names first, at most `MOST_HITS`.

    Args:
        query: as it was typed; only its first `LONGEST_QUERY` characters count.
        snapshot: with the tasks that workers hold.
        tasks: names besides those that the snapshot has.
        suffix: what the name of a queue of dead letters ends with.
        letters: those whose ids begin so; None where nobody looked.
        may_read: whoever asks may see letters; else `unread` says that.
        unread: what else was not looked at, and why: whole sentences.
    """
    text = cleaned(query)
    wanted = text.casefold()
    ranked: dict[Hit, int] = {}
    counts = dict.fromkeys(Kind, 0)
    for thing in _things(snapshot, tasks, suffix):
        counts[thing.hit.kind] += 1
        if wanted and (rank := _rank(thing, text, wanted)) is not None:
            _keep(ranked, rank, thing.hit)
    for hit in _held(snapshot, wanted):
        _keep(ranked, 0 if hit.name == text else 2, hit)
    for letter in letters or () if wanted else ():
        _keep(ranked, 0 if text in (letter.id, letter.task_id) else 2, _of_letter(letter))
    hits = sorted(ranked, key=lambda hit: (ranked[hit], _ORDER[hit.kind], hit.name))
    return Found(
        query=text,
        was_cut=len(query) > LONGEST_QUERY,
        hits=tuple(hits[:MOST_HITS]),
        more=max(0, len(hits) - MOST_HITS),
        searched=_searched(snapshot, counts, letters is not None),
        unsearched=tuple(_unsearched(snapshot, letters is not None or not may_read, unread)),
    )


def _keep(ranked: dict[Hit, int], rank: int, hit: Hit) -> None:
    ranked[hit] = min(rank, ranked.get(hit, rank))


def _rank(thing: _Thing, text: str, wanted: str) -> int | None:
    """Return how well a thing fits, 0 is best; None when it does not."""
    name = thing.hit.name
    if len(text) < thing.least:
        return None
    if name == text:
        return 0
    # What cannot be seen is shown as an escape, and that is what people copy.
    spellings = [name] if name.isprintable() else [name, printable(name)]
    folded = [spelling.casefold() for spelling in spellings]
    others = [other.casefold() for other in thing.also]
    if wanted in folded or wanted in others:
        return 1
    if any(each.startswith(wanted) for each in folded):
        return 2
    is_part = "." in wanted and thing.hit.kind is Kind.TASK and f".{wanted}" in folded[0]
    return 3 if is_part or any(each.startswith(wanted) for each in others) else None


def _things(snapshot: Snapshot, tasks: Iterable[str], suffix: str) -> Iterator[_Thing]:
    """Yield everything that has a name or an id."""
    queues = {queue.name for queue in snapshot.queues}
    queues.update(name for worker in snapshot.workers for name in worker.queues or ())
    for name in queues:
        yield _Thing(Hit(kind=Kind.QUEUE, name=name))
    for name, count in (snapshot.dead_letters or {}).items():
        if count != 0:
            about = "how many is not known" if count is None else plural(count, "dead letter")
            # Of a queue that is known for more they are meant where its name does not end the question.
            least = len(name) + 1 if name in queues else 0
            yield _Thing(Hit(kind=Kind.LETTERS, name=name, about=about), (name + suffix,), least)
    for name in _task_names(snapshot, tasks):
        yield _Thing(Hit(kind=Kind.TASK, name=name), (name.rpartition(".")[2],))
    for worker in snapshot.workers:
        about = worker.state.value.replace("_", " ")
        host = worker.hostname.partition("@")[2]
        yield _Thing(Hit(kind=Kind.WORKER, name=worker.hostname, about=about), (host,) if host else ())
    for entry in schedule_entries(snapshot.beats) or ():
        yield _Thing(Hit(kind=Kind.ENTRY, name=entry.entry, about=f"sends {printable(entry.task, 120)}"))


def _task_names(snapshot: Snapshot, more: Iterable[str]) -> set[str]:
    names = {*more, *(snapshot.recent or ()), *snapshot.observed}
    for worker in snapshot.workers:
        # Celery's own, which every worker has, are nobody's question.
        names.update(name for name in worker.registered or () if not name.startswith("celery."))
    for _, _, held in _holdings(snapshot):
        names.update(task.task_name for task in held)
    names.update(entry.task for entry in schedule_entries(snapshot.beats) or ())
    return names - {""}


def _held(snapshot: Snapshot, wanted: str) -> Iterator[Hit]:
    """Yield the tasks that workers hold and whose ids begin so: of tens of thousands mostly none."""
    if len(wanted) < SHORTEST_ID:
        return
    for worker, did, held in _holdings(snapshot):
        for task in held:
            if task.task_id.casefold().startswith(wanted):
                gone = ", which is gone" if worker.state is WorkerState.GONE else ""
                about = f"{printable(task.task_name, 120)} {did} {printable(worker.hostname, 120)}{gone}"
                yield Hit(kind=Kind.HELD, name=task.task_id, worker=worker.hostname, about=about)


def _holdings(snapshot: Snapshot) -> Iterator[tuple[Worker, str, Sequence[_HeldTask]]]:
    for worker in snapshot.workers:
        yield worker, "runs on", worker.active
        yield worker, "waits on", worker.reserved
        yield worker, "waits for its time on", worker.scheduled


def _of_letter(letter: DeadLetter) -> Hit:
    task = letter.task_name or "no task"
    about = f"{task}, {letter.exception or letter.cause.value.replace('_', ' ')}"
    return Hit(kind=Kind.LETTER, name=letter.id, queue=letter.queue, about=about)


def _searched(snapshot: Snapshot, counts: dict[Kind, int], looked: bool) -> str:
    entries = counts[Kind.ENTRY]
    held = sum(len(tasks) for _, _, tasks in _holdings(snapshot))
    return (
        f"{plural(counts[Kind.QUEUE], 'queue')}, {plural(counts[Kind.TASK], 'task')}, "
        f"{plural(counts[Kind.WORKER], 'worker')}, "
        f"{number(entries)} schedule {'entry' if entries == 1 else 'entries'}, "
        f"and the ids of {plural(held, 'task')} that workers hold{' and of dead letters' if looked else ''}"
    )


def _unsearched(snapshot: Snapshot, looked: bool, unread: Iterable[str]) -> Iterator[str]:
    if snapshot.broker.is_lacking:
        yield "What the broker knows could not be read: queues and workers may be missing here."
    if snapshot.store.configured and snapshot.store.reachable is not True:
        yield "What the store knows could not be read: tasks and workers may be missing here."
    entries = schedule_entries(snapshot.beats)
    if entries is None and snapshot.schedule_exists is not False:
        yield "Entries of the schedule are not known: no beat has told what it sends."
    elif left := untold_entries(snapshot.beats, len(entries or ())):
        yield f"Beat does not list {number(left)} more {'entry' if left == 1 else 'entries'} of its schedule."
    if not snapshot.roster_is_known:
        yield "Perhaps there are other workers: not every one has answered."
    if snapshot.dead_letters is None:
        if snapshot.dead_letters_lack is None:
            yield "Whether there are dead letters is not known."
    elif not looked and any(count != 0 for count in snapshot.dead_letters.values()):
        yield (
            "Dead letters were not looked through: they are found by their id or their task's, of which at "
            f"least {SHORTEST_LETTER_ID} characters are needed."
        )
    yield from snapshot.task_notes
    yield from unread
