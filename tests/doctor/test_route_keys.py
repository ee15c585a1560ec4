"""Keys of ``task_routes`` that match nothing: each is named, and what is said to write instead matches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from celery_health.doctor.findings import DoctorReport
from tests.cases.support import a_project

SEVEN = ("send", "bill", "ship", "pay", "ask", "run", "sync")


def seven(package: str) -> list[str]:
    return [f"{package}.{name}" for name in SEVEN]


#: Registered tasks, keys, and the keys that are said to be meant: none is left alone.
MEANT: list[tuple[Sequence[str], Sequence[Any], Mapping[Any, str]]] = [
    # One slip in a package that seven keys share; other packages have tasks of some of the names.
    (
        [*seven("proj.tasks"), *seven("proj.orders.jobs")[:4], "proj.mails.send"],
        seven("proj.taks"),
        dict(zip(seven("proj.taks"), seven("proj.tasks"), strict=True)),
    ),
    # The same, where a last resort takes every task.
    (
        seven("proj.tasks"),
        [*seven("proj.taks"), "*"],
        dict(zip(seven("proj.taks"), seven("proj.tasks"), strict=True)),
    ),
    (
        seven("proj.tasks"),
        [*seven("proj.taks"), "proj.*"],
        dict(zip(seven("proj.taks"), seven("proj.tasks"), strict=True)),
    ),
    # The package was renamed, by more than a slip; others have the same last parts.
    (
        [*seven("proj.orders.tasks"), *seven("proj.carts.jobs")[:3], "proj.mails.tasks.send"],
        seven("proj.purchases"),
        dict(zip(seven("proj.purchases"), seven("proj.orders.tasks"), strict=True)),
    ),
    # The whole project was renamed.
    (
        [*seven("fresh.tasks"), "fresh.mails.send"],
        seven("stale.tasks"),
        dict(zip(seven("stale.tasks"), seven("fresh.tasks"), strict=True)),
    ),
    (["fresh.tasks.send"], ["stale.tasks.send"], {"stale.tasks.send": "fresh.tasks.send"}),
    # One module became two.
    (
        ["shop.orders.tasks.ship", "shop.mails.tasks.send", "shop.mails.tasks.ask", "shop.clean"],
        ["shop.tasks.ship", "shop.tasks.send", "shop.tasks.ask"],
        {
            "shop.tasks.ship": "shop.orders.tasks.ship",
            "shop.tasks.send": "shop.mails.tasks.send",
            "shop.tasks.ask": "shop.mails.tasks.ask",
        },
    ),
    # A name without its package; case; blanks.
    (["shop.tasks.send_mail", "shop.clean"], ["send_mail"], {"send_mail": "shop.tasks.send_mail"}),
    (["shop.tasks.send_mail"], ["Shop.Tasks.send_mail"], {"Shop.Tasks.send_mail": "shop.tasks.send_mail"}),
    (["shop.tasks.send_mail"], ["shop.tasks.send_mail "], {"shop.tasks.send_mail ": "shop.tasks.send_mail"}),
    # A longer name of its own package takes another exact key, and this one is a slip.
    (
        ["shop.send_mail", "shop.send_film"],
        ["shop.send_mial", "shop.send_*"],
        {"shop.send_mial": "shop.send_mail"},
    ),
    # Globs: a slip in a part, beside the star, in the middle, case, a blank, a module without its star.
    (["shop.mailing.send"], ["shop.mailling.*"], {"shop.mailling.*": "shop.mailing.*"}),
    (["shop.mailing.a.send"], ["shop.mailling.a.*"], {"shop.mailling.a.*": "shop.mailing.a.*"}),
    (["shop.tasks.mail_one"], ["shop.tasks.mial_*"], {"shop.tasks.mial_*": "shop.tasks.mail_*"}),
    (["shop.tasks.mail_one"], ["*.taks.mail_*"], {"*.taks.mail_*": "*.tasks.mail_*"}),
    (["shop.tasks.one_mail"], ["*_mial"], {"*_mial": "*_mail"}),
    (["shop.tasks.mail_one"], ["Shop.tasks.*"], {"Shop.tasks.*": "shop.tasks.*"}),
    (["shop.tasks.mail_one"], ["shop.tasks.* "], {"shop.tasks.* ": "shop.tasks.*"}),
    (["shop.tasks.mail_one", "shop.clean"], ["shop.tasks"], {"shop.tasks": "shop.tasks.*"}),
    (["shop.tasks.mail_one", "shop.clean"], ["shop.tasks."], {"shop.tasks.": "shop.tasks.*"}),
    # Globs of a module that moved.
    (["shop.orders.tasks.a"], ["shop.tasks.*"], {"shop.tasks.*": "shop.orders.tasks.*"}),
    (["shop.tasks.a"], ["shop.orders.tasks.*"], {"shop.orders.tasks.*": "shop.tasks.*"}),
    (
        ["shop.orders.tasks.mail_a", "shop.carts.tasks.clean"],
        ["shop.basket.tasks.mail_*"],
        {"shop.basket.tasks.mail_*": "shop.orders.tasks.mail_*"},
    ),
    (
        [*seven("fresh.jobs"), "fresh.mails.tasks.send_all"],
        [*seven("stale.tasks")[:3], "stale.tasks.s*"],
        {
            **dict(zip(seven("stale.tasks")[:3], seven("fresh.jobs")[:3], strict=True)),
            "stale.tasks.s*": "fresh.jobs.s*",
        },
    ),
    # Regular expressions: as a text, with a slip, and one that would match further on.
    (["shop.tasks.send"], [r"shop\.tasks\..*"], {r"shop\.tasks\..*": r"shop\.tasks\..*"}),
    (["shop.tasks.send"], ["^shop.tasks"], {"^shop.tasks": "^shop.tasks"}),
    (["shop.tasks.send"], ["shop.(tasks|jobs).*"], {"shop.(tasks|jobs).*": "shop.(tasks|jobs).*"}),
    (["shop.tasks.send"], [re.compile(r"shop\.taks\..*")], {r"shop\.taks\..*": r"shop\.tasks\..*"}),
    (["shop.tasks.send"], [re.compile(r"tasks\.send")], {r"tasks\.send": r".*tasks\.send"}),
]


def examine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: Sequence[str], keys: Sequence[Any]
) -> DoctorReport:
    with a_project(tmp_path, monkeypatch) as project:
        project.tasks(*tasks)
        project.conf(task_routes={key: {"queue": f"q{number}"} for number, key in enumerate(keys)})
        return project.report()


@pytest.mark.parametrize(("tasks", "keys", "meant"), MEANT)
def test_route_misspelt__names_every_key_and_its_fix_works(
    tasks: Sequence[str],
    keys: Sequence[Any],
    meant: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {f.subject.name: f for f in examine(tmp_path, monkeypatch, tasks, keys).findings}

    assert {key: finding.evidence["nearest"] for key, finding in found.items()} == meant
    assert {finding.code for finding in found.values()} == {"W102"}
    pasted = {key: written(finding.fix) for key, finding in found.items()}
    # The narrow ones go before the broad ones, where they stood.
    fixed = [pasted.get(getattr(key, "pattern", key), key) for key in keys]
    assert [
        f.message for f in examine(tmp_path, monkeypatch, tasks, fixed).findings if f.code != "W103"
    ] == []


def written(fix: str) -> Any:
    """Return the key that a fix says to write, as Python makes it."""
    text = re.fullmatch(r"Write (.*?)( as the key)?\.", fix)
    assert text is not None, fix
    return eval(text[1], {"re": re})


#: Registered tasks, and keys of which nobody can say what they mean, or that harm nobody.
LEFT: list[tuple[Sequence[str], Sequence[Any]]] = [
    # Left over: the removed app's modules are called as everybody's.
    (["shop.orders.tasks.ship"], ["shop.imports.tasks.*"]),
    (["shop.orders.tasks.ship"], ["shop.imports.*"]),
    # Two modules have a task of that name, and nothing tells which is meant.
    (["shop.aaaa.run", "shop.bbbb.run"], ["shop.cccc.run"]),
    # The other module's task goes where its own glob says: the key is left over.
    (["shop.orders.tasks.clean"], ["shop.tasks.clean", "shop.orders.tasks.*"]),
    # Of another service, with a last part as everybody's.
    (["shop.tasks.send"], ["mailer.jobs.send"]),
    (["shop.tasks.send"], ["mailer.*"]),
    # Numbers and short words differ on purpose.
    (["shop.sync_1"], ["shop.sync_2"]),
]


@pytest.mark.parametrize(("tasks", "keys"), LEFT)
def test_route_misspelt__is_silent_where_nothing_tells(
    tasks: Sequence[str], keys: Sequence[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [f for f in examine(tmp_path, monkeypatch, tasks, keys).findings if f.code == "W102"] == []


def test_route_misspelt__a_task_that_goes_there_anyway_lacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_project(tmp_path, monkeypatch) as project:
        project.tasks("shop.send_mail", "shop.mails.render")
        project.conf(
            task_routes={"shop.send_mial": {"queue": "mails"}, "shop.send_*": {"queue": "mails"}},
        )
        assert [f.code for f in project.report().findings] == ["I301"]


OWN_NAMES = """
    from celery import shared_task

    @shared_task(name="{0}send")
    def send(): ...

    @shared_task(name="{0}bill")
    def bill(): ...
"""


@pytest.mark.parametrize(
    ("prefix", "key", "fix"),
    [
        ("mail.", "{}.tasks.send", "Write 'mail.send'."),
        ("mail.", "{}.tasks.*", "Write 'mail.*'."),
        ("mail.", "{}.tasks.s*", "Write 'mail.send'."),
        ("mail_", "{}.tasks.*", "Write a key for each name: 'mail_bill', 'mail_send'."),
    ],
)
def test_route_misspelt__the_key_is_the_path_of_a_task_with_a_name_of_its_own(
    prefix: str, key: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "postoffice"
    with a_project(tmp_path, monkeypatch) as project:
        project.package(package, tasks=OWN_NAMES.format(prefix))
        project.conf(imports=[f"{package}.tasks"], task_routes={key.format(package): {"queue": "mails"}})
        (finding,) = project.report().findings

    assert finding.code == "W102"
    assert finding.fix == fix
