"""The exec probe over files made by hand, and over the file that a worker's writer makes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.utils.nodenames import default_nodename, gethostname, host_format

from celery_health import probe
from celery_health.reporting.liveness import Liveness, LivenessFile
from tests.support import ROOT, eventually

WELL = Liveness(state="ok", started=True, turning=True, due=None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(probe.DIR_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that does nothing: it may be stopped and killed."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(99)"]) as process:
        yield process
        process.kill()


def write(folder: Path, name: str = "w1@host", kind: str = "worker", **changes: Any) -> Path:
    """Write a file that says that this very process is a worker, and well."""
    now = time.monotonic()
    pid = changes.pop("pid", os.getpid())
    facts = {
        "boot": probe.boot_id(),
        "pidns": probe.pid_namespace(),
        "written": now - changes.pop("age", 0.0),
        "started": 1,
        "turning": 1,
        "due": now - changes.pop("late", 0.0),
        "state": "ok",
    }
    status = probe.stat_of(pid)
    ticks = changes.pop("ticks", status[1] if status else 0)
    lines = [f"{changes.pop('version', 'v1')} {kind} {name} {pid} {ticks}"]
    lines += [f"{key}={value}" for key, value in {**facts, **changes}.items() if value is not None]
    path = folder / f"celery-health-{kind}-{name.replace('/', '_')}-{pid}"
    path.write_text("\n".join(lines) + "\n")
    return path


class Ask:
    """Runs the probe in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.text = ""

    def __call__(self, *argv: str) -> int:
        status = probe.main(argv)
        out, err = self._capsys.readouterr()
        # Good news on one stream, bad news on the other, never both.
        assert bool(out) is (status == 0)
        assert bool(err) is (status != 0)
        self.text = out or err
        return status


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    return Ask(capsys)


# One process -----------------------------------------------------------------------------------------


def test_probe__living_worker_is_alive(folder: Path, ask: Ask) -> None:
    write(folder, state="busy")
    assert ask("worker") == 0
    assert ask.text == f"worker w1@host (pid {os.getpid()}) is alive (busy)\n"


def test_probe__reads_what_the_writer_writes(folder: Path, ask: Ask) -> None:
    for kind in probe.KINDS:
        LivenessFile(folder, kind, "näme of@host").write(WELL)
        assert ask(kind, "--started") == 0
        assert ask.text == f"{kind} näme of@host (pid {os.getpid()}) is alive (ok)\n"


def test_probe__stale_file_is_red(folder: Path, ask: Ask) -> None:
    write(folder, age=59)
    assert ask("worker") == 0
    write(folder, age=75)
    assert ask("worker") == 1
    assert "has written nothing for 75 s (limit 60 s): it is stopped or gone" in ask.text
    assert ask("worker", "--max-age", "90") == 0
    assert ask("worker", "--max-age=10.5") == 1


def test_probe__loop_that_stands_is_red_only_while_it_should_turn(folder: Path, ask: Ask) -> None:
    write(folder, late=61)
    assert ask("worker") == 1
    assert "is stuck: its event loop has not turned for 61 s (limit 60 s)" in ask.text
    # The broker is away, a task keeps a solo worker, or it drains: whoever wrote the file knows.
    write(folder, late=3600, turning=0, state="reconnecting")
    assert ask("worker") == 0
    assert "(reconnecting)" in ask.text


def test_probe__loop_of_a_process_that_writes_no_more_is_not_blamed(folder: Path, ask: Ask) -> None:
    # Stopped a second before its time is up, and a second after its loop last turned.
    write(folder, age=59.5, late=60.5)
    assert ask("worker") == 1
    assert "has written nothing for" in ask.text
    write(folder, age=1, late=60.5)
    assert ask("worker") == 1
    assert "its event loop has not turned for" in ask.text


def test_probe__beat_that_slept_too_long_is_red(folder: Path, ask: Ask) -> None:
    # It sleeps for five minutes and is due then: not late.
    write(folder, "celerybeat@host-1", kind="beat", late=-300)
    assert ask("beat") == 0
    write(folder, "celerybeat@host-1", kind="beat", late=61)
    assert ask("beat") == 1
    assert "is stuck: its scheduler was to wake 61 s ago" in ask.text


def test_probe__started_waits_for_the_end_of_the_imports(folder: Path, ask: Ask) -> None:
    write(folder, started=0, turning=0, state="starting")
    assert ask("worker") == 0
    assert ask("worker", "--started") == 1
    assert "is still starting" in ask.text
    write(folder)
    assert ask("worker", "--started") == 0


# Which process ---------------------------------------------------------------------------------------


def test_probe__killed_process_is_red(folder: Path, ask: Ask, sleeper: subprocess.Popen[bytes]) -> None:
    write(folder, pid=sleeper.pid)
    assert ask("worker") == 0
    sleeper.kill()
    # Not waited for: it is a zombie now, as in a container whose first process reaps nobody.
    eventually(lambda: (probe.stat_of(sleeper.pid) or "?")[0] == "Z")
    assert ask("worker") == 1
    assert ask.text == f"worker w1@host (pid {sleeper.pid}) has ended\n"
    sleeper.wait()
    assert ask("worker") == 1
    assert "has ended" in ask.text


def test_probe__stopped_process_is_named_as_such(
    folder: Path, ask: Ask, sleeper: subprocess.Popen[bytes]
) -> None:
    sleeper.send_signal(signal.SIGSTOP)
    eventually(lambda: (probe.stat_of(sleeper.pid) or "?")[0] == "T")
    write(folder, pid=sleeper.pid, age=61)
    assert ask("worker") == 1
    assert "it is stopped (SIGSTOP)" in ask.text


def test_probe__pid_given_to_another_process_is_dead(folder: Path, ask: Ask) -> None:
    write(folder, ticks=12345)
    assert ask("worker") == 1
    assert "has ended" in ask.text
    # Where the system says no start of a process, its pid alone must do.
    write(folder, ticks=0)
    assert ask("worker") == 0


def test_probe__file_of_an_earlier_boot_is_dead(folder: Path, ask: Ask) -> None:
    write(folder, boot="00000000-0000-0000-0000-000000000000")
    assert ask("worker") == 1
    assert "has ended" in ask.text
    # Without an id of the boot: the clock has started again since.
    write(folder, boot=None, age=-1000)
    assert ask("worker") == 1


def test_probe__somebody_elses_process_counts(
    folder: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    # Hidden processes of other users cannot be made without being root and another: hence by hand.
    monkeypatch.setattr(probe.os, "kill", denied)
    monkeypatch.setattr(probe, "stat_of", lambda pid: None)
    write(folder)
    assert ask("worker") == 0


def test_probe__dead_ones_are_ignored_beside_a_living_one(
    folder: Path, ask: Ask, sleeper: subprocess.Popen[bytes]
) -> None:
    write(folder, "dead@host", pid=sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    write(folder, "living@host")
    assert ask("worker") == 0
    assert "dead@host" not in ask.text
    assert ask("worker", "--worker", "dead@host") == 1
    assert ask.text.startswith("worker dead@host (pid ")


def test_probe__all_workers_of_the_host_must_live(folder: Path, ask: Ask) -> None:
    write(folder, "a@host")
    write(folder, "b@host", age=100)
    write(folder, "c@host", late=100)
    assert ask("worker") == 1
    assert "b@host" in ask.text
    assert "c@host" in ask.text
    assert "a@host" not in ask.text
    assert ask("worker", "--worker", "a@host") == 0


def test_probe__workers_and_beats_are_apart(folder: Path, ask: Ask) -> None:
    write(folder, "w1@host")
    assert ask("beat") == 1
    assert ask.text.startswith("no beat has written to ")
    write(folder, "celerybeat@host-1", kind="beat", age=100)
    assert ask("worker") == 0
    assert ask("beat") == 1


def test_probe__container_that_shares_the_folder(folder: Path, ask: Ask) -> None:
    # Its pid 1 is not our pid 1; its stamps are of the same clock.
    write(folder, "other@pod", pid=1, ticks=1, pidns="1")
    assert ask("worker") == 1
    assert ask.text == "no worker runs in this container; name one of another by --worker: other@pod\n"
    assert ask("worker", "--worker", "other@pod") == 0
    write(folder, "other@pod", pid=1, ticks=1, pidns="1", age=61)
    assert ask("worker", "--worker", "other@pod") == 1
    # One of our own is all that is meant without a name.
    write(folder, "ours@pod")
    assert ask("worker") == 0
    assert "other@pod" not in ask.text


NAMES = ["w1@host", "w1@%h", "w1", "%n-w@%h", "w@%d", "%h", "w1@"]


@pytest.mark.parametrize("given", NAMES)
def test_full_name__is_what_celery_makes_of_it(given: str) -> None:
    # celery/bin/worker.py: host_format(default_nodename(hostname))
    assert probe.full_name(given) == host_format(default_nodename(given))
    assert os.uname().nodename == gethostname()


# Folders and files -----------------------------------------------------------------------------------


def test_probe__nobody_wrote(folder: Path, ask: Ask) -> None:
    assert ask("worker") == 1
    assert ask.text == f"no worker has written to {folder}\n"
    assert ask("worker", "--worker", "w1@host") == 1
    assert "no worker w1@host has written" in ask.text


def test_probe__folder_by_option_over_environment(folder: Path, ask: Ask, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(other)
    assert ask("worker") == 1
    assert ask("worker", "--dir", str(other)) == 0


def test_probe__folder_that_is_not_there(folder: Path, ask: Ask) -> None:
    assert ask("worker", "--dir", "/nonexistent") == 1
    assert ask.text == "cannot read the folder /nonexistent: No such file or directory\n"


def test_probe__default_folder_is_the_temporary_one(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(probe.DIR_VARIABLE, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    write(tmp_path, "only-in-this-test@host")
    assert ask("worker", "--worker", "only-in-this-test@host") == 0
    assert ask("worker", "--worker", "nobody@host") == 1
    assert ask.text.rstrip().endswith("if it writes elsewhere, give --dir or CELERY_HEALTH_PROBE_DIR")


def test_probe__file_that_is_none_of_ours_does_no_harm(folder: Path, ask: Ask) -> None:
    prefix = "celery-health-worker-"
    (folder / f"{prefix}empty").write_text("")
    (folder / f"{prefix}binary").write_bytes(bytes(range(256)))
    (folder / f"{prefix}newer").write_text("v2 worker w1@host 1 1\n")
    (folder / f"{prefix}large").write_bytes(b"x" * 1_000_000)
    (folder / f"{prefix}link").symlink_to("/etc/hostname")
    (folder / f"{prefix}folder").mkdir()
    # Opening a pipe waits for whoever writes to it, for ever.
    os.mkfifo(folder / f"{prefix}pipe")
    write(folder, "half@host", written=None).rename(folder / f"{prefix}half")
    assert ask("worker") == 1
    assert "another version of celery_health or another user wrote it" in ask.text
    write(folder)
    assert ask("worker") == 0


def test_probe__draft_of_a_file_is_left_alone(folder: Path, ask: Ask) -> None:
    write(folder, age=100).rename(folder / ".celery-health-worker-w1@host-1.abcd.tmp")
    assert ask("worker") == 1
    assert "no worker has written" in ask.text


def test_probe__names_cannot_write_to_the_terminal(folder: Path, ask: Ask) -> None:
    write(folder, "w\x1b[2J@host", state="\x1b[31mred")
    assert ask("worker") == 0
    assert "\x1b" not in ask.text


def test_probe__survives_an_error_of_its_own(folder: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: probe.Options) -> tuple[int, str]:
        raise RuntimeError("as told")

    monkeypatch.setattr(probe, "look", broken)
    assert ask("worker") == 1
    assert ask.text == "could not look: RuntimeError: as told\n"


# The command line ------------------------------------------------------------------------------------

MISUSES = [
    ([], "say what to look for: worker or beat"),
    (["flower"], "unexpected 'flower'"),
    (["worker", "beat"], "unexpected 'beat'"),
    (["worker", "--max-age"], "--max-age needs a value"),
    (["worker", "--max-age", "--started"], "--max-age needs a value"),
    (["worker", "--max-age", "soon"], "--max-age is 'soon': give seconds over 0"),
    # A limit of zero would be red for ever, and one that is no number green for ever.
    (["worker", "--max-age", "0"], "--max-age is '0': give seconds over 0"),
    (["worker", "--max-age", "nan"], "--max-age is 'nan': give seconds over 0"),
    (["worker", "--max-age=inf"], "--max-age is 'inf': give seconds over 0"),
    (["worker", "--dir="], "--dir needs a value"),
    (["worker", "--color"], "unknown option '--color'"),
    (["worker", "--started=yes"], "unknown option '--started=yes'"),
    (["beat", "--worker", "w1@host"], "--worker names a worker, and beat was asked for"),
]


@pytest.mark.parametrize(("argv", "message"), MISUSES)
def test_probe__misuse_exits_2_and_says_how(argv: list[str], message: str, folder: Path, ask: Ask) -> None:
    write(folder)
    assert ask(*argv) == 2
    first, *rest = ask.text.splitlines()
    assert message in first
    assert "usage: celery-health-probe worker|beat" in "\n".join(rest)


def test_probe__help(ask: Ask) -> None:
    assert ask("--help") == 0
    assert ask.text.startswith("usage: celery-health-probe")
    assert ask("worker", "-h") == 0


# As a command ----------------------------------------------------------------------------------------


@pytest.fixture
def run(folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "celery_health.probe", *argv],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def test_probe_command__exit_statuses(
    folder: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert run("worker").returncode == 1
    assert run("flower").returncode == 2
    write(folder)
    assert run("worker").returncode == 0


def test_probe_command__reads_a_folder_it_may_not_write_to(
    folder: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    write(folder)
    folder.chmod(0o555)
    before = sorted(folder.iterdir())
    assert run("worker").returncode == 0
    assert sorted(folder.iterdir()) == before


def test_probe_command__imports_next_to_nothing(folder: Path) -> None:
    write(folder)
    script = "import sys, celery_health.probe as p; p.main(['worker']); print(*sorted(sys.modules))"
    plain = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    loaded = set(plain.stdout.splitlines()[-1].split())
    assert not loaded & {"typing", "re", "argparse", "tempfile", "enum", "collections", "django", "celery"}
    assert {name for name in loaded if name.startswith("celery_health")} == {
        "celery_health",
        "celery_health.probe",
    }
