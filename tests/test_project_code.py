"""What code of a project raises, told apart: its own errors, what would end a process, and Ctrl-C."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from celery_health.exceptions import RaisedError
from celery_health.project_code import (
    calling_project,
    importing_project,
    is_from_keyboard,
    is_of_ours,
    needs_main_thread,
    place_of,
    telling_if_slow,
)
from celery_health.text.masking import describe_error

#: What is logged, for a module that waits for it.
records: list[logging.LogRecord] = []


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it raises nothing")


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def raises_one() -> None:
    raise KeyboardInterrupt


def exits_for_ctrl_c() -> None:
    try:
        press_ctrl_c()
    except KeyboardInterrupt:
        sys.exit(1)


def raises_another_for_ctrl_c() -> None:
    try:
        press_ctrl_c()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped") from None


def runs_asyncio() -> None:
    async def wait() -> None:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(10)

    asyncio.run(wait())


def waits() -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    threading.Event().wait(10)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (press_ctrl_c, True),
        (waits, True),
        (runs_asyncio, True),  # which raises it anew itself
        (exits_for_ctrl_c, True),  # whatever a module makes of it, somebody wants it to end
        (raises_another_for_ctrl_c, True),
        (raises_one, False),
        (lambda: sys.exit("no licence key"), False),
    ],
)
def test_is_from_keyboard__tells_ctrl_c_from_what_the_code_raises(
    function: Callable[[], object], expected: bool
) -> None:
    assert is_from_keyboard(caught(function)) is expected


def test_is_from_keyboard__is_never_so_in_a_thread() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(is_from_keyboard(caught(raises_one))))
    thread.start()
    thread.join()
    assert found == [False]


class Odd(BaseException):
    pass


def odd() -> None:
    raise Odd("x")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda: sys.exit("no licence key"), "SystemExit: no licence key"),
        (raises_one, "KeyboardInterrupt"),
        (odd, "Odd: x"),
    ],
)
def test_calling_project__raises_what_can_be_caught(function: Callable[[], object], told: str) -> None:
    with pytest.raises(RaisedError) as raised, calling_project():
        function()
    assert describe_error(raised.value) == told
    why = f"cannot be imported: it .*ends the process \\({told}\\)"
    with pytest.raises(ImportError, match=why), importing_project():
        function()


def test_importing_project__lets_ctrl_c_and_errors_through() -> None:
    with pytest.raises(KeyboardInterrupt), importing_project():
        press_ctrl_c()
    with pytest.raises(KeyboardInterrupt), calling_project():
        press_ctrl_c()
    with pytest.raises(RecursionError), importing_project():
        endless()


def endless() -> None:
    endless()


def test_place_of__names_the_innermost_function_that_is_not_pythons() -> None:
    def parse() -> None:
        import argparse

        argparse.ArgumentParser(exit_on_error=True).parse_args(["--no-such"])

    with pytest.raises(RaisedError) as raised, calling_project():
        parse()
    assert place_of(raised.value).startswith(f"{__name__}.test_place_of__")
    assert not is_of_ours(raised.value)
    assert is_of_ours(caught(lambda: describe_error(None, object())))  # type: ignore[arg-type]


def test_telling_if_slow__names_the_module_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "waiting_of_test.py").write_text(
        "import logging, time\n\n"
        "def is_told():\n    return any('so far' in one.getMessage() for one in records)\n\n"
        "from tests.test_project_code import records\n"
        "deadline = time.monotonic() + 10\n"
        "while not is_told() and time.monotonic() < deadline:\n    time.sleep(0.01)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys.modules[__name__], "records", caplog.records)

    with telling_if_slow("Importing", 0.05):
        importlib.import_module("waiting_of_test")
    with telling_if_slow("Nothing", 10.0):
        pass

    assert [one.getMessage() for one in caplog.records] == [
        "Importing has taken 0.05 s so far: module 'waiting_of_test' runs."
    ]
    sys.modules.pop("waiting_of_test")


def test_needs_main_thread__knows_what_python_refuses_to_other_threads() -> None:
    found: list[bool] = []

    def run() -> None:
        found.append(needs_main_thread(caught(lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))))
        found.append(needs_main_thread(ValueError("other")))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [True, False]
