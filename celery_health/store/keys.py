"""The keys of one app in the store, and how long each of them lives: see ``docs/reference/store.md``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Writers that are silent for longer have to be taken for new ones.
SEQUENCE_SECONDS: Final = 2 * 86400
#: Every command that sends a task is a writer of its own: they come by the thousand.
PRODUCER_SEQUENCE_SECONDS: Final = 3600
WORKER_SECONDS: Final = 86400
#: The goodbye of a worker whose name never came back, once others have come.
GOODBYE_SECONDS: Final = 3600
REGISTERED_SECONDS: Final = 86400
CONSUMED_SECONDS: Final = 7 * 86400
RING_SECONDS: Final = 70 * 60
#: Of silence: an app that is gone leaves nothing for ever.
TOTALS_SECONDS: Final = 30 * 86400

#: Processes of one name that are silent: of a worker that crashes in a loop each start leaves one.
MAX_SILENT: Final = 3
#: Who reported within this may live, whatever its name; no more of one name than this are kept at all.
FRESH_SECONDS: Final = 60
MAX_PROCESSES: Final = 100
#: Processes of all names, some 10 MB with their records: of pods each has a name of its own.
MAX_ALL_PROCESSES: Final = 4_000

#: What is known of the starts of workers, by name; of one name the youngest.
STARTS_SECONDS: Final = 3600
MAX_STARTS: Final = 20
MAX_STARTED_NAMES: Final = 4_000
#: What a process could not write is told for this long, of so many processes: a kilobyte each.
TROUBLE_SECONDS: Final = 3600
MAX_TROUBLES: Final = 200

#: Entries of beats' schedules; without a beat for so long, they begin anew.
ENTRY_SECONDS: Final = 8 * 86400
MAX_ENTRIES: Final = 2_000
ENTRY_ABSENCE_SECONDS: Final = 600

#: Ids of runs that silent processes named as running, and how often they are looked for.
MISSING_SECONDS: Final = 600
MAX_MISSING: Final = 200
MISSING_PAUSE_SECONDS: Final = 2

#: Beats are kept until others replace them; more than these have not run side by side.
MAX_BEATS: Final = 20
#: Fields of the totals, some 10 MB; what comes in above is counted as "other".
MAX_FIELDS: Final = 100_000
#: Values of a label over all processes; what comes in above is counted as "other". Names that no worker
#: registers have a table of their own: whoever may send tasks can make up as many as he likes.
MAX_NAMES: Final = 1_000
MAX_UNKNOWN: Final = 100
MAX_QUEUES: Final = 2_000
MAX_EXCEPTIONS: Final = 200
#: Fields of one minute of the ring.
MAX_RING_FIELDS: Final = 10_000
#: The same of its exceptions: more than ever fail at once.
MAX_RING_EXCEPTIONS: Final = 2_000
#: Tasks whose last runs did not end well, in a row; over it those go that last did so the longest ago.
MAX_STREAKS: Final = 500
#: Of silence of one task.
STREAK_SECONDS: Final = 8 * 86400
#: A run that is to be tried again is late by this at most; later it has ended, or tells of itself again.
ATTEMPTS_SECONDS: Final = 3600
#: Minutes that can be read, the present one included.
MAX_RING_MINUTES: Final = 61

#: Commands that the scripts and their caller use, as an ACL rule names them.
COMMANDS: Final = (
    "eval", "evalsha", "time", "get", "set", "del", "expire", "hget", "hset", "hmget", "hgetall", "hkeys",
    "hdel", "hlen", "hexists", "hincrby", "hscan",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of all keys under one prefix."""

    prefix: str
    """As in ``celery_health:shop:``."""

    @property
    def totals(self) -> str:
        """A hash: field to total, and ``epoch`` and ``version``, so that they live and die together."""
        return f"{self.prefix}totals"

    @property
    def workers(self) -> str:
        """A hash: host name to stamp, mark, writer and record, as earlier versions kept them."""
        return f"{self.prefix}workers"

    @property
    def processes(self) -> str:
        """A hash: writer and host name of a worker to stamp, mark, first stamp and the stamp before."""
        return f"{self.prefix}processes"

    @property
    def records(self) -> str:
        """A hash: the same to the record."""
        return f"{self.prefix}records"

    @property
    def rows(self) -> str:
        """A hash: the same to a stamp and the tasks that the worker holds, one by one."""
        return f"{self.prefix}rows"

    @property
    def pruned(self) -> str:
        """A text: how far what is to be removed has been looked for in the hashes of processes."""
        return f"{self.prefix}pruned"

    @property
    def starts(self) -> str:
        """A hash: host name of a worker to when its processes started, and what became of them."""
        return f"{self.prefix}starts"

    @property
    def beats(self) -> str:
        """A hash: name of a beat to stamp, mark, writer and record."""
        return f"{self.prefix}beats"

    @property
    def registered(self) -> str:
        """A hash: fingerprint to stamp and task names."""
        return f"{self.prefix}registered"

    @property
    def consumed(self) -> str:
        """A hash: queue to stamp."""
        return f"{self.prefix}consumed"

    @property
    def entries(self) -> str:
        """A hash: entry of the schedule to stamps, when it appeared and was last sent, and a fingerprint."""
        return f"{self.prefix}entries"

    @property
    def troubles(self) -> str:
        """A hash: writer to a stamp and what it could not write."""
        return f"{self.prefix}troubles"

    @property
    def missing(self) -> str:
        """A hash: id of a run that a silent process named as running to when that was."""
        return f"{self.prefix}missing"

    @property
    def ring(self) -> str:
        """What stands before the minute in the key of a hash: task name and outcome to how many."""
        return f"{self.prefix}ring:"

    @property
    def exceptions(self) -> str:
        """The same: task name and exception of runs that failed for good to how many."""
        return f"{self.prefix}exceptions:"

    @property
    def streaks(self) -> str:
        """A hash: task name to how its last runs ended, of those that did not end well."""
        return f"{self.prefix}streaks"

    def sequence(self, writer: str) -> str:
        """Return the key of a text: the epoch and the sequence last applied from this writer."""
        return f"{self.prefix}seq:{writer}"
