"""How the environment of the demo and the tests is made: which Python, when anew, and when with a Redis."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import environment
import redis_program

ANSWERS = {"3.10": "cpython 3 10", "3.11": "cpython 3 11", "3.12": "cpython 3 12", "3.13": "cpython 3 13"}


@pytest.fixture
def make_python(tmp_path: Path) -> Callable[[str, str], Path]:
    """Make programs that answer the question for their version as a Python would."""

    def make(where: str, answer: str) -> Path:
        path = tmp_path / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{answer}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Python but the one that runs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("PYTHON", raising=False)


def says(version: str) -> str:
    return f"echo {ANSWERS[version]}"


def test_version__of_this_python() -> None:
    assert environment.version_of(sys.executable) == sys.version_info[:2]


@pytest.mark.parametrize(
    "answer",
    [
        "exit 1",  # Debian's python3 without python3-venv, and pyenv's shim of a version that is not active
        "echo pypy 3 11",  # nobody tests with it
        "echo nonsense",
    ],
)
def test_version__of_what_will_not_do_is_none(make_python: Callable[[str, str], Path], answer: str) -> None:
    assert environment.version_of(str(make_python("bin/python3.12", answer))) is None


def test_choice__prefers_3_12_then_3_11_over_the_running_one(make_python: Callable[[str, str], Path]) -> None:
    make_python("bin/python3.13", says("3.13"))
    second = make_python("bin/python3.11", says("3.11"))
    assert environment.choose_python() == str(second)

    first = make_python("pyenv/versions/3.12.1/bin/python", says("3.12"))
    assert environment.choose_python() == str(first)


def test_choice__passes_over_a_broken_shim(make_python: Callable[[str, str], Path]) -> None:
    make_python("bin/python3.12", "exit 127")
    works = make_python("bin/python3.11", says("3.11"))

    assert environment.choose_python() == str(works)


def test_choice__is_the_callers_if_named(
    make_python: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_python("bin/python3.12", says("3.12"))
    named = make_python("elsewhere/python", says("3.13"))
    monkeypatch.setenv("PYTHON", str(named))

    assert environment.choose_python() == str(named)


def test_choice__without_any_says_what_is_missing(
    make_python: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(make_python("bin/python3", says("3.10"))))

    with pytest.raises(SystemExit, match=r"No CPython 3\.11 or newer"):
        environment.choose_python()


def test_stamp__holds_for_one_state_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(environment, "VENV_PYTHON", Path(sys.executable))
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]")
    assert not environment.is_installed("demo")

    environment.stamp_of("demo").write_text(environment.fingerprint("demo"))
    assert environment.is_installed("demo")
    assert not environment.is_installed("test")

    project.write_text("[project]\n")
    assert not environment.is_installed("demo")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A machine that has no Redis server and gets none: what it was asked for, as `may_install` each time."""
    calls: list[bool] = []

    def get(python: Path, may_install: bool) -> None:
        calls.append(may_install)

    monkeypatch.setattr(redis_program, "get", get)
    monkeypatch.setattr(environment, "is_installed", lambda extra: True)
    for name in ("BROKER_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return calls


def test_redis__the_demo_without_one_ends_and_says_how_to_get_one(asked: list[bool]) -> None:
    with pytest.raises(SystemExit, match=r"No Redis server found\. Get one with"):
        environment.main(["demo"])
    assert asked == [True]


@pytest.mark.parametrize("name", ["BROKER_URL", "REDIS_URL"])
def test_redis__the_demo_with_a_broker_needs_none(
    asked: list[bool], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "redis://somewhere:6379/0")

    environment.main(["demo"])

    assert asked == []


def test_redis__the_tests_try_once_and_go_on(asked: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    environment.main(["test"])
    assert asked == []

    monkeypatch.setattr(environment, "is_installed", lambda extra: False)
    monkeypatch.setattr(environment, "install", lambda extras: None)
    environment.main(["test"])
    assert asked == [False]


def test_import__works_in_the_oldest_python_that_may_run_it() -> None:
    # The syntax of 3.7, and no name in an annotation is evaluated.
    for module in (environment, redis_program):
        source = Path(str(module.__file__)).read_text()
        ast.parse(source, feature_version=(3, 7))
        assert "from __future__ import annotations" in source
