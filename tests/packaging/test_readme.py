"""The README's first commands are those that are run for each change, and say what they cost."""

from __future__ import annotations

import re

import environment
from tests.packaging.makefile import ROOT, demo_command, recipe


def first_commands() -> list[tuple[str, str]]:
    """Return command and comment of each line of the block directly below the README's first paragraph."""
    _title, _paragraph, block, *_ = (ROOT / "README.md").read_text().split("\n\n")
    opening, *lines, closing = block.splitlines()
    assert (opening, closing) == ("```console", "```")
    found = []
    for line in lines:
        command, _, comment = line.removeprefix("$ ").partition("  # ")
        found.append((command, comment))
    return found


def commands_of_ci() -> list[str]:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    return [line.partition("#")[0].strip() for line in lines]


def test_block__is_clone_demo_and_test() -> None:
    clone, *verbs = [command for command, _ in first_commands()]

    assert re.fullmatch(r"git clone \S.* (\S+) && cd \1", clone)
    assert verbs == ["make demo", "make test"]


def test_block__says_what_each_verb_needs_and_how_long_it_takes() -> None:
    for command, comment in first_commands()[1:]:
        assert "needs" in comment, command
        assert re.search(r"\b(minutes?|seconds)\b", comment), command


def test_make_test__is_what_ci_runs_and_runs_the_tests() -> None:
    assert "make test" in commands_of_ci()
    assert recipe("test", "tests/conf")[-1][0] == ".venv/bin/pytest"
    assert recipe("test", "tests/conf")[-1][-1] == "tests/conf"


def test_make_demo__makes_the_environment_and_runs_what_the_demos_tests_run() -> None:
    prepare, run = recipe("demo", "--once")

    assert (ROOT / prepare[1]).samefile(environment.__file__)
    assert prepare[2:] == ["demo"]
    # tests/packaging/test_demo.py starts `demo_command`, which is this line of the recipe.
    assert (ROOT / run[2]).samefile(ROOT / "example_project/demo.py")
    assert demo_command("--once")[1:] == run[2:]
