"""How the doctor puts things."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.support import a_project


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["shop.a"], "'shop.a' is acknowledged late, and still lost when its process is killed."),
        (
            ["shop.a", "shop.b"],
            "'shop.a' and 'shop.b' are acknowledged late, and still lost when their process is killed.",
        ),
    ],
)
def test_verb__goes_with_the_number_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], says: str
) -> None:
    with a_project(tmp_path, monkeypatch) as project:
        project.tasks(*names, acks_late=True)

        assert says in [finding.message for finding in project.report().findings]
