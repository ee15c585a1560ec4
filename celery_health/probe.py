"""``celery-health-probe``: whether the worker or beat of this machine or container is alive, for exec probes.

Needs the standard library alone, no settings, no network, and little more time than Python takes to start.
A native thread in each worker and beat writes a small file every second or so; this reads it, and asks the
system whether the process is still that one. The broker is never asked: a probe that fails with the broker
restarts every worker at the moment when none of them is at fault.

The file is called ``celery-health-<kind>-<anything>``, and reads::

    v1 <kind> <name> <pid> <start ticks of the process, 0 when unknown>
    boot=<id of the boot>       the stamps below mean nothing after another
    pidns=<pid namespace>       the pid means nothing in another
    written=<stamp>             when this was written
    started=0|1                 1 once it has imported its tasks and gone to work
    turning=0|1                 1 while its loop should turn: not when the broker is away, not when draining
    due=<stamp>                 when its loop had to turn, or last did
    state=<word>                for people

Stamps are seconds of ``time.monotonic``, one clock for all processes since the machine started. Unknown
lines are left alone.

This stays one file, although a long one: it imports nothing of ours, so that a probe starts as fast as Python
does, and a copy of it works where nothing else of this package is installed.
"""

from __future__ import annotations

import os
import sys
import time

# Not from typing: importing that takes as long as Python's own start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, NoReturn

ALIVE: Final = 0
NOT_ALIVE: Final = 1
MISUSE: Final = 2

KINDS: Final = ("worker", "beat")
PREFIX: Final = "celery-health-"
FORMAT: Final = "v1"
DIR_VARIABLE: Final = "CELERY_HEALTH_PROBE_DIR"
DEFAULT_MAX_AGE_SECONDS: Final = 60.0
#: The files are ten times smaller; whatever else lies there under such a name is not read whole.
LARGEST_BYTES: Final = 8192
#: Files are written every second: after this long without, nobody writes.
SILENT_SECONDS: Final = 5.0
#: A stamp so far ahead is no jitter of writing: it is from before the machine started.
AHEAD_SECONDS: Final = 5.0

USAGE: Final = """\
usage: celery-health-probe worker|beat [--worker NAME] [--max-age SECONDS] [--started] [--dir DIR]

Exit with status 0 if the workers (the beat) of this machine or container are alive, 1 if not, 2 for misuse.

  --worker NAME      only this one, as given to celery worker -n: w1@%h, or the whole name
  --max-age SECONDS  how old its file may be, and how long its loop may stand still (default 60)
  --started          for start-up probes: alive, and done with importing its tasks
  --dir DIR          the folder of the files (default: CELERY_HEALTH_PROBE_DIR, else the temporary folder)
"""


class Misuse(Exception):
    """The command line is wrong; the message says how."""


class Options:
    """The command line, parsed. By hand: argparse takes as long to import as Python to start."""

    def __init__(self) -> None:
        self.kind = ""
        self.worker: str | None = None
        self.max_age_seconds = DEFAULT_MAX_AGE_SECONDS
        self.started = False
        self.folder: str | None = os.environ.get(DIR_VARIABLE) or None

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Options:
        """Return what `argv`, without the program's name, asks for.

        Raises:
            Misuse: it makes no sense.
        """
        options = cls()
        rest = list(argv)
        while rest:
            options._take(rest.pop(0), rest)
        if not options.kind:
            raise Misuse("say what to look for: worker or beat")
        if options.worker is not None and options.kind != "worker":
            raise Misuse(f"--worker names a worker, and {options.kind} was asked for")
        return options

    def _take(self, word: str, rest: list[str]) -> None:
        option, equals, value = word.partition("=")
        if option == "--started" and not equals:
            self.started = True
        elif option in ("--worker", "--max-age", "--dir"):
            if not equals:
                value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
            if not value:
                raise Misuse(f"{option} needs a value")
            self._set(option, value)
        elif word.startswith("-"):
            raise Misuse(f"unknown option {word!r}")
        elif word not in KINDS or self.kind:
            raise Misuse(f"unexpected {word!r}: say worker or beat, once")
        else:
            self.kind = word

    def _set(self, option: str, value: str) -> None:
        if option == "--worker":
            self.worker = full_name(value)
        elif option == "--dir":
            self.folder = value
        else:
            self.max_age_seconds = seconds(value)


def seconds(text: str) -> float:
    """Return the duration that `text` is.

    Raises:
        Misuse: it is none, or not over 0.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    # Also False for NaN.
    if not 0.0 < number < float("inf"):
        raise Misuse(f"--max-age is {text!r}: give seconds over 0")
    return number


def full_name(name: str) -> str:
    """Return the name that a worker started with ``-n name`` has (celery/utils/nodenames.py)."""
    host = os.uname().nodename
    short, _, domain = host.partition(".")
    left, at, right = name.partition("@")
    name = f"{left or 'celery'}@{right or host}" if at else f"celery@{left}"
    for mark, text in (("%h", host), ("%n", short), ("%d", domain)):
        name = name.replace(mark, text)
    return name


class Process:
    """What one file says of one process."""

    def __init__(self, text: str) -> None:
        first, *lines = text.splitlines()
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        version, self.kind, rest = first.split(" ", 2)
        name, pid, ticks = rest.rsplit(" ", 2)
        if version != FORMAT:
            raise ValueError(version)
        self.name = "".join(c if c.isprintable() else "?" for c in name)
        self.pid = int(pid)
        self.start_ticks = int(ticks)
        self.written = float(fields["written"])
        self.boot = fields.get("boot", "")
        self.namespace = fields.get("pidns", "")
        self.started = fields.get("started") == "1"
        self.turning = fields.get("turning") == "1"
        self.due = float(fields.get("due", self.written))
        self.state = "".join(c if c.isprintable() else "?" for c in fields.get("state", ""))[:40]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} (pid {self.pid})"

    def is_here(self) -> bool:
        """Say whether its pid means something to us: containers that share a folder each count their own."""
        ours = pid_namespace()
        return not self.namespace or not ours or self.namespace == ours

    def has_ended(self, now: float) -> bool:
        """Say whether the process that wrote the file is surely gone; False where only its age can tell."""
        if self.written > now + AHEAD_SECONDS or (self.boot and boot_id() not in ("", self.boot)):
            return True
        if not self.is_here():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # it is there, and not ours to signal
        status = stat_of(self.pid)
        # A pid is given again to another process, which started later.
        reused = status is not None and self.start_ticks not in (0, status[1])
        return reused or (status is not None and status[0] in ("Z", "X"))

    def fault(self, options: Options, now: float) -> str | None:
        """Return why it is not alive, or None."""
        limit = f"(limit {options.max_age_seconds:g} s)"
        age, late = now - self.written, now - self.due
        is_late = self.turning and late > options.max_age_seconds
        # Late in a file that nobody writes any more: it is not the loop alone that stands still.
        if age > options.max_age_seconds or (is_late and age > SILENT_SECONDS):
            status = stat_of(self.pid) if self.is_here() else None
            how = "it is stopped (SIGSTOP)" if status and status[0] in "Tt" else "it is stopped or gone"
            return f"{self} has written nothing for {age:.0f} s {limit}: {how}"
        if is_late:
            if self.kind == "worker":
                return f"{self} is stuck: its event loop has not turned for {late:.0f} s {limit}"
            return f"{self} is stuck: its scheduler was to wake {late:.0f} s ago {limit}"
        if options.started and not self.started:
            return f"{self} is still starting"
        return None


def stat_of(pid: int) -> tuple[str, int] | None:
    """Return the state letter and the start ticks of a process; None where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the command in brackets, which may hold anything, brackets too.
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def boot_id() -> str:
    """Return what tells this boot of the machine from others; empty where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def pid_namespace() -> str:
    """Return what tells this container's pids from those of others; empty where the system does not say."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


def folders(chosen: str | None) -> list[str]:
    """Return where the files may be: the folder that was named, or where ``tempfile`` would put them."""
    if chosen is not None:
        return [chosen]
    named = [os.environ.get(variable) for variable in ("TMPDIR", "TEMP", "TMP")]
    return list(dict.fromkeys(folder for folder in (*named, "/tmp", "/var/tmp", "/usr/tmp") if folder))


def read_folder(folder: str, kind: str) -> tuple[list[Process], list[str]]:
    """Return the processes of the files in `folder`, and the names of files that nobody can read.

    Raises:
        OSError: the folder is not there, or may not be read.
    """
    found, unreadable = [], []
    for name in sorted(os.listdir(folder)):
        # A name that begins with a dot, or ends so, is being written.
        if not name.startswith(f"{PREFIX}{kind}-") or name.endswith(".tmp"):
            continue
        try:
            found.append(Process(read_file(os.path.join(folder, name))))
        except FileNotFoundError:
            continue  # it has just said goodbye
        except (OSError, ValueError, KeyError):
            unreadable.append(os.path.join(folder, name))
    return [process for process in found if process.kind == kind], unreadable


def read_file(path: str) -> str:
    """Return the start of a file that anybody may have put there: no link is followed, no pipe waited for.

    Raises:
        OSError: it is no plain file, or may not be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(descriptor, LARGEST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def look(options: Options) -> tuple[int, str]:
    """Return the exit status and the one line that says why."""
    processes: list[Process] = []
    unreadable: list[str] = []
    looked_in = folders(options.folder)
    for folder in looked_in:
        try:
            found, bad = read_folder(folder, options.kind)
        except OSError as error:
            if options.folder is not None:
                return NOT_ALIVE, f"cannot read the folder {folder}: {error.strerror}"
            continue
        processes += found
        unreadable += bad
    now = time.monotonic()
    wanted = [p for p in processes if options.worker in (None, p.name)]
    living = [p for p in wanted if not p.has_ended(now)]
    # Whoever asks for all means those of this container; one that is named may live in another.
    judged = [p for p in living if options.worker is not None or p.is_here()]
    if not judged:
        return NOT_ALIVE, nobody(options, looked_in, wanted, living, unreadable)
    faults = [fault for p in judged if (fault := p.fault(options, now)) is not None]
    if faults:
        return NOT_ALIVE, "; ".join(faults)
    return ALIVE, "; ".join(f"{p} is alive ({p.state or 'ok'})" for p in judged)


def nobody(
    options: Options,
    looked_in: Sequence[str],
    wanted: Sequence[Process],
    living: Sequence[Process],
    unreadable: Sequence[str],
) -> str:
    """Return why no process could be judged."""
    where = " or ".join(looked_in)
    if living:
        names = ", ".join(sorted(p.name for p in living))
        return f"no {options.kind} runs in this container; name one of another by --worker: {names}"
    if wanted:
        return "; ".join(f"{p} has ended" for p in wanted)
    if unreadable:
        return f"cannot read {unreadable[0]}: another version of celery_health or another user wrote it"
    whom = f"worker {options.worker}" if options.worker else options.kind
    hint = "" if options.folder else f"; if it writes elsewhere, give --dir or {DIR_VARIABLE}"
    return f"no {whom} has written to {where}{hint}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the probe; return the exit status. Never raises: an error of its own is no proof of life."""
    argv = sys.argv[1:] if argv is None else argv
    if "--help" in argv or "-h" in argv:
        sys.stdout.write(USAGE)
        return ALIVE
    try:
        options = Options.parse(argv)
    except Misuse as error:
        sys.stderr.write(f"celery-health-probe: {error}\n\n{USAGE}")
        return MISUSE
    try:
        status, why = look(options)
    except Exception as error:
        status, why = NOT_ALIVE, f"could not look: {type(error).__name__}: {error}"
    (sys.stdout if status == ALIVE else sys.stderr).write(f"{why}\n")
    return status


def run() -> NoReturn:
    """Run the probe and end the process at once: to tidy up takes Python a tenth of the whole."""
    status = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    run()
