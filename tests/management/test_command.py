"""``manage.py celery_health`` over reports made by hand: options, exit statuses, dispatch."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, ConfigurationError
from celery_health.health import report_body
from celery_health.management.commands.celery_health import Command
from celery_health.management.subcommands import SUBCOMMANDS
from celery_health.management.subcommands.base import UsageError
from celery_health.management.terminal import Terminal
from celery_health.records import HealthReport
from tests.management.reports import DEGRADED, HEALTHY, UNHEALTHY

REPORTS = {"healthy": HEALTHY, "degraded": DEGRADED, "unhealthy": UNHEALTHY}
VERDICT = "celery_health.management.subcommands.verdict"


class Asked(list[Deadline | None]):
    """The deadlines that were asked with, and the answer to give."""

    answer: HealthReport | Exception = HEALTHY

    def __call__(self, deadline: Deadline | None = None, *, is_one_shot: bool = False) -> HealthReport:
        self.append(deadline)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    one = Asked()
    monkeypatch.setattr(f"{VERDICT}.get_report", one)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return one


def called(*args: str, **options: Any) -> tuple[int, str]:
    """Call the command from Python; return the exit status and what it wrote."""
    out = io.StringIO()
    try:
        call_command("celery_health", *args, stdout=out, **options)
    except SystemExit as exit:
        assert isinstance(exit.code, int)
        return exit.code, out.getvalue()
    return 0, out.getvalue()


def typed(*argv: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run it as from a command line; return the exit status and both streams."""
    try:
        Command().run_from_argv(["manage.py", "celery_health", *argv])
        status = 0
    except SystemExit as exit:
        assert isinstance(exit.code, int)
        status = exit.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("name", "options", "status"),
    [
        ("healthy", [], 0),
        ("degraded", [], 0),
        ("unhealthy", [], 1),
        ("healthy", ["--strict"], 0),
        ("degraded", ["--strict"], 1),
        ("unhealthy", ["--strict"], 1),
        ("healthy", ["--json"], 0),
        ("unhealthy", ["--json"], 1),
        ("degraded", ["--json", "--strict"], 1),
    ],
)
def test_status(
    asked: Asked, capsys: pytest.CaptureFixture[str], name: str, options: list[str], status: int
) -> None:
    asked.answer = REPORTS[name]
    assert typed(*options, capsys=capsys)[::2] == (status, "")
    assert called(*options)[0] == status


@pytest.mark.parametrize("name", REPORTS)
def test_json__is_the_body_of_health(asked: Asked, name: str) -> None:
    asked.answer = REPORTS[name]
    written = called("--json")[1]
    assert json.loads(written) == json.loads(json.dumps(report_body(REPORTS[name])))
    assert written.isascii()
    assert called(json=True)[1] == written
    # Nothing but the body, whatever else is asked for.
    assert called("--json", "--verbose", "-v", "3", "--force-color")[1] == written


@pytest.mark.parametrize(
    ("options", "first_lines"),
    [
        ([], False),
        (["--verbose"], True),
        (["-v", "2"], True),
        (["--verbosity", "3"], True),
        (["-v", "1"], False),
        (["-v", "0", "--verbose"], None),
    ],
)
def test_verbose(asked: Asked, options: list[str], first_lines: bool | None) -> None:
    written = called(*options)[1]
    if first_lines is None:
        assert written == "HEALTHY: 2 workers alive, 1,206 tasks waiting.\n"
    else:
        assert ("\nRunning tasks\n" in written) is first_lines


def test_output__no_escapes_when_piped(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in typed("--verbose", capsys=capsys)[1]
    assert "\x1b[" in typed("--verbose", "--force-color", capsys=capsys)[1]
    assert "\x1b" not in typed("--verbose", "--no-color", capsys=capsys)[1]


@pytest.mark.parametrize(
    ("value", "seconds"), [("2", 2.0), ("0.25", 0.25), ("1e2", 100.0), (3, 3.0), (0.5, 0.5), (None, 2.0)]
)
def test_timeout__becomes_the_deadline(asked: Asked, value: Any, seconds: float) -> None:
    assert called(timeout=value)[0] == 0
    (deadline,) = asked
    assert deadline is not None and deadline.budget_seconds == seconds


BAD_SECONDS = ["0", "-1", "two", "", "nan", "inf", "-inf", "1e9", "1e400", "0x10", "2s", "\x1b[31m"]


@pytest.mark.parametrize("option", ["--timeout", "--watch"])
@pytest.mark.parametrize("value", BAD_SECONDS)
def test_seconds__bad_value_exits_2_and_says_what_to_give(
    asked: Asked, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    status, out, err = typed(f"{option}={value}", capsys=capsys)
    assert (status, out) == (2, "")
    lowest, highest = ("0.01", "3600") if option == "--timeout" else ("0.1", "86400")
    assert err == (
        f"CommandError: {option} is {value!r}: give seconds from {lowest} to {highest}, such as {option} 2.\n"
    )
    assert asked == []


@pytest.mark.parametrize("value", [0, -1, True, float("nan"), [2], 10**400])
def test_seconds__bad_value_from_python(asked: Asked, value: Any) -> None:
    with pytest.raises(CommandError, match=r"^--timeout is .*: give seconds from 0\.01 to 3600") as caught:
        called(timeout=value)
    assert caught.value.returncode == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["--timeout"], "argument --timeout: expected one argument"),
        (["-v", "9"], "argument -v/--verbosity: invalid choice: 9"),
        (["--no-color", "--force-color"], "The --no-color and --force-color options can't be used together."),
    ],
)
def test_usage__wrong_arguments_exit_2(
    asked: Asked, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    status, out, err = typed(*argv, capsys=capsys)
    assert (status, out) == (2, "")
    assert message in err
    assert asked == []


def test_configuration__exits_2_with_the_fix(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    asked.answer = ConfigurationError("No app is configured. Set \x1b[31mCELERY_APP\x1b[0m.")
    status, out, err = typed(capsys=capsys)
    assert (status, out) == (2, "")
    assert err == "CommandError: No app is configured. Set \\x1b[31mCELERY_APP\\x1b[0m.\n"
    with pytest.raises(CommandError) as caught:
        called()
    assert caught.value.returncode == 2


def test_configuration__traceback_on_request(asked: Asked) -> None:
    asked.answer = ConfigurationError("No app is configured.")
    with pytest.raises(CommandError) as caught:
        Command().run_from_argv(["manage.py", "celery_health", "--traceback"])
    assert isinstance(caught.value.__cause__, ConfigurationError)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BrokerError("refused"), "CommandError: refused\n"),
        # A fault of ours is no verdict: never status 1, and no password.
        (
            RuntimeError("redis://:hunter2@db failed"),
            "CommandError: celery_health itself failed, which says nothing about Celery: "
            "RuntimeError: redis://:**@db failed (--traceback shows where)\n",
        ),
    ],
)
def test_failure__is_never_the_status_of_a_verdict(
    asked: Asked, capsys: pytest.CaptureFixture[str], error: Exception, message: str
) -> None:
    asked.answer = error
    assert typed(capsys=capsys) == (2, "", message)


def test_interrupt__exits_130_without_traceback(
    asked: Asked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(deadline: object = None, *, is_one_shot: bool = False) -> HealthReport:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{VERDICT}.get_report", interrupted)
    assert typed(capsys=capsys) == (130, "", "")


def test_system_checks__are_not_run(asked: Asked) -> None:
    assert tuple(Command.requires_system_checks) == ()


# --watch -----------------------------------------------------------------------------------------------


class Clock:
    """Time that passes by sleeping only; Ctrl-C after so many sleeps."""

    def __init__(self, sleeps: int) -> None:
        self.now = 0.0
        self.left = sleeps
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock(3)
    monkeypatch.setattr(f"{VERDICT}.time", one)
    return one


@pytest.mark.parametrize(("argv", "interval"), [(["--watch"], 2.0), (["--watch", "5"], 5.0)])
def test_watch__appends_when_piped(asked: Asked, clock: Clock, argv: list[str], interval: float) -> None:
    status, written = called(*argv)
    assert status == 130
    assert clock.slept == [interval] * 3
    assert written.count("HEALTHY: 2 workers alive") == 3
    assert "\x1b" not in written
    once = called()[1]
    assert written == (once + "\n") * 3


def test_watch__the_time_of_asking_counts(
    asked: Asked, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    durations = iter([0.5, 2.5, 0.0])

    def slow(deadline: object = None, *, is_one_shot: bool = False) -> HealthReport:
        clock.now += next(durations)
        return HEALTHY

    monkeypatch.setattr(f"{VERDICT}.get_report", slow)
    called("--watch")
    assert clock.slept == [1.5, 0.0, 2.0]


def test_watch__each_question_has_its_own_deadline(asked: Asked, clock: Clock) -> None:
    called("--watch", "--timeout", "3")
    assert len({id(deadline) for deadline in asked}) == 3
    assert [deadline.budget_seconds for deadline in asked if deadline] == [3.0] * 3


def test_watch__json_is_one_line_each(asked: Asked, clock: Clock) -> None:
    lines = called("--watch", "--json")[1].splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["healthy"] * 3


def test_watch__one_line_each_with_verbosity_0(asked: Asked, clock: Clock) -> None:
    assert called("--watch", "-v", "0")[1] == "HEALTHY: 2 workers alive, 1,206 tasks waiting.\n" * 3


def test_watch__redraws_on_a_terminal(asked: Asked, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    out = Tty()
    with pytest.raises(SystemExit):
        call_command("celery_health", "--watch", stdout=out, no_color=True)
    frames = out.getvalue().split("\x1b[H")[1:]
    assert len(frames) == 3
    for frame in frames:
        assert frame.startswith("HEALTHY: 2 workers alive")
        assert frame.endswith("Every 2 s. Ctrl-C ends.\x1b[K\n\x1b[J")


def test_watch__ends_with_the_verdict_when_nobody_reads(asked: Asked, clock: Clock) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    asked.answer = UNHEALTHY
    with pytest.raises(SystemExit) as caught:
        call_command("celery_health", "--watch", stdout=Gone())
    assert caught.value.code == 1
    assert clock.slept == []


# Subcommands -------------------------------------------------------------------------------------------


@pytest.fixture
def spy(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Register a subcommand ``spy`` that keeps the options it gets and exits with ``--status``."""
    seen: dict[str, Any] = {}

    def add_arguments(parser: Any) -> None:
        parser.add_argument("queue", nargs="?")
        parser.add_argument("--json", action="store_true", help="JSON.")
        parser.add_argument("--status", type=int, default=0)

    def run(terminal: Terminal, options: Mapping[str, Any]) -> int:
        seen.update(options)
        if options["status"] == 9:
            raise UsageError("--status is 9: give less.")
        terminal.write_lines([f"spied {terminal.style.ERROR('x')}"])
        return int(options["status"])

    one: Any = SimpleNamespace(HELP="Spy on the options.", add_arguments=add_arguments, run=run)
    monkeypatch.setitem(SUBCOMMANDS, "spy", one)
    return seen


def test_subcommand__runs_instead_of_the_verdict(
    spy: dict[str, Any], asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("spy", "emails", "--status", "1", capsys=capsys) == (1, "spied x\n", "")
    assert (spy["queue"], spy["status"], spy["json"]) == ("emails", 1, False)
    assert asked == []


def test_subcommand__none_is_the_verdict(spy: dict[str, Any], asked: Asked) -> None:
    assert called()[1].startswith("HEALTHY")
    assert spy == {}


@pytest.mark.parametrize("argv", [["--json", "spy"], ["spy", "--json"], ["--json", "spy", "--json"]])
def test_subcommand__a_shared_option_stands_on_either_side(
    spy: dict[str, Any], capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert typed(*argv, capsys=capsys)[0] == 0
    assert spy["json"] is True


def test_subcommand__django_s_options_stand_on_either_side(
    spy: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    typed("spy", "-v", "2", "--no-color", "--settings", "tests.project.settings", capsys=capsys)
    assert (spy["verbosity"], spy["no_color"], spy["settings"]) == (2, True, "tests.project.settings")
    typed("-v", "0", "spy", capsys=capsys)
    assert spy["verbosity"] == 0
    assert typed("spy", "--force-color", capsys=capsys)[1].startswith("spied \x1b[")


@pytest.mark.parametrize("option", ["--watch", "--strict", "--verbose", "--timeout=2"])
def test_subcommand__an_option_of_the_verdict_is_refused(
    spy: dict[str, Any], capsys: pytest.CaptureFixture[str], option: str
) -> None:
    status, out, err = typed(*([option, "5"] if option == "--watch" else [option]), "spy", capsys=capsys)
    assert (status, out) == (2, "")
    name = option.partition("=")[0]
    assert err == f"CommandError: {name} belongs to the verdict: 'spy' has no such option. Leave it out.\n"


def test_subcommand__usage_error_exits_2(spy: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("spy", "--status", "9", capsys=capsys) == (
        2,
        "",
        "CommandError: --status is 9: give less.\n",
    )


def test_subcommand__unknown_one_names_the_known(
    spy: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = typed("spi", capsys=capsys)
    assert status == 2
    assert "invalid choice: 'spi' (choose from" in err
    assert "spy" in err


def test_subcommand__from_python(spy: dict[str, Any]) -> None:
    assert called("spy", "emails", json=True) == (0, "spied x\n")
    assert (spy["queue"], spy["json"]) == ("emails", True)


def help_of(*argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    status, out, _ = typed(*argv, "--help", capsys=capsys)
    assert status == 0
    return " ".join(out.split())


def test_help__names_every_option_and_status(spy: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys=capsys)
    for part in ("--verbose", "--json", "--watch [SECONDS]", "--timeout SECONDS", "--strict"):
        assert part in text
    assert "Exit status: 0 healthy or degraded, 1 unhealthy, 2 wrong usage or configuration." in text
    assert "spy Spy on the options." in text
    assert "--status STATUS" in help_of("spy", capsys=capsys)


def test_registered__each_is_a_subcommand() -> None:
    for name, subcommand in SUBCOMMANDS.items():
        assert name == name.lower()
        assert subcommand.HELP.endswith(".")
        for function in (subcommand.add_arguments, subcommand.run):
            assert isinstance(function, Callable)  # type: ignore[arg-type]
    assert sys.modules[VERDICT].HELP.endswith(".")
