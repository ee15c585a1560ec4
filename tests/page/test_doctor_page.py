"""The doctor's page: causes with what follows, what to paste, proof, what could not be looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from django.test import Client

from celery_health.doctor.findings import Cause, Finding, Kind, Severity, Subject
from celery_health.doctor.rules import RULES
from celery_health.page.doctor import MOST_ON_OVERVIEW
from celery_health.page.problems import advice
from tests.api.conftest import FOUND, PREFIX, Celery
from tests.doctor.pasting import code

DOCTOR = f"{PREFIX}page/doctor/"
PAGES = Path(__file__).resolve().parents[2] / "docs" / "doctor"
HOSTILE = "</li><script>alert(1)</script>\x1b[31m\u202e{{ x }}'\"\n"


def finding(code: str = "E104", kind: Kind = Kind.QUEUE, subject: str = "emails", **changes: Any) -> Finding:
    severity = {"E": Severity.ERROR, "W": Severity.WARNING, "I": Severity.INFO}[code[0]]
    defaults: dict[str, Any] = {
        "rule": "queue-unconsumed",
        "message": f"Nobody consumes {subject}.",
        "evidence": {"workers": ["w1@host", "w2@host"], "count": 3},
        "fix": "Start a worker.",
        "docs": "docs/doctor/lost-work.md#queue-unconsumed",
    }
    return Finding(
        code=code, severity=severity, subject=Subject(kind=kind, name=subject), **{**defaults, **changes}
    )


def body(client: Client, address: str = DOCTOR, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_doctor__shows_all_of_a_finding(staff: Client, celery: Celery) -> None:
    page = body(staff)

    assert 'class="status">error E101</span>' in page
    assert "which no consumer of &#x27;celery&#x27; registers." in page
    assert "Set the entry&#x27;s task to" in page
    # The thing itself, what the rule means, and the proof.
    assert 'href="../../page/schedule/?name=sync">beat entry sync</a>' in page
    assert 'href="../../page/doctor/?rule=beat-task-unregistered"' in page
    assert "accounts.tasks.sync_accounts" in page.partition("<summary>Proof</summary>")[2]
    assert "Looked at 2026-01-28 10:00:00 UTC." in page


def test_doctor__what_follows_stands_beneath_its_cause(staff: Client, celery: Celery) -> None:
    cause = finding("W103", Kind.ROUTE, "shop.*")
    first = finding("E104", subject="b", because=cause.as_cause)
    second = finding("I314", subject="c", because=first.as_cause)
    celery.doctor = replace(FOUND, findings=(cause, first, second, finding("I305", Kind.SETTING, "x")))

    page = body(staff)

    top = re.findall(r'<li class="(\w+)" id="finding-', page)
    assert top == ["warning", "error", "hint", "hint"]
    beneath = page.partition("What follows from it (2)</summary>")[2].partition("</details>\n</li>")[0]
    assert "error E104" in beneath and "hint I314" in beneath and "I305" not in beneath
    assert "Follows from W103 of route &#x27;shop.*&#x27;." in beneath
    assert "1 error, 1 warning, 2 hints" in page


@pytest.mark.parametrize(
    ("kind", "rule", "address"),
    [
        (Kind.QUEUE, "queue-unconsumed", "../../page/queues/?name=a%2Fb"),
        (Kind.QUEUE, "dead-letters-full", "../../page/dead-letters/?queue=a%2Fb"),
        (Kind.TASK, "task-name-taken", "../../page/tasks/?name=a%2Fb"),
        (Kind.WORKER, "workers-doubled", "../../page/workers/?name=a%2Fb"),
        (Kind.BEAT_ENTRY, "beat-task-unregistered", "../../page/schedule/?name=a%2Fb"),
        (Kind.BEAT, "beats-doubled", "../../page/schedule/"),
        (Kind.SETTING, "setting-ignored", None),
        (Kind.ROUTE, "route-shadowed", None),
        (Kind.BROKER, "redis-evicts", None),
    ],
)
def test_doctor__links_to_the_thing_itself(
    staff: Client, celery: Celery, kind: Kind, rule: str, address: str | None
) -> None:
    celery.doctor = replace(FOUND, findings=(finding("W201", kind, "a/b", rule=rule),))

    meta = body(staff).partition('<p class="meta">')[2].partition("</p>")[0]

    found = re.findall(r'href="([^"]*)"', meta)
    assert found == [*([address] if address else []), f"../../page/doctor/?rule={rule}"]


def test_doctor__says_what_it_could_not_look_at(staff: Client, celery: Celery) -> None:
    celery.doctor = replace(
        FOUND, findings=(), notes=("The tables of <b> could not be read.",), silenced=2, unanswered=None
    )
    page = body(staff)
    assert "Nothing found." in page
    assert "The tables of &lt;b&gt; could not be read." in page
    assert "2 findings silenced by the settings" in page

    celery.doctor = replace(FOUND, findings=(), unanswered="The broker answers, and no worker is there.")
    page = body(staff)
    # Whoever was not looked at is not well.
    assert "Nothing found." not in page
    assert "The broker answers, and no worker is there." in page


def test_doctor__on_the_overview_the_worst_and_a_link(staff: Client, celery: Celery) -> None:
    many = tuple(finding(subject=f"q{number:03}") for number in range(30))
    celery.doctor = replace(FOUND, findings=many)

    part = body(staff, PREFIX, part="doctor")

    assert part.count('<li class="error"') == MOST_ON_OVERVIEW
    assert 'and 10 more: <a href="page/doctor/">all findings</a>' in part
    assert 'href="page/queues/?name=q000"' in part
    assert body(staff).count('<li class="error"') == 30


def test_doctor__is_bounded(staff: Client, celery: Celery) -> None:
    cause = finding("W103", Kind.ROUTE, "shop.*")
    beneath = tuple(finding(subject=f"b{n}", because=cause.as_cause) for n in range(300))
    others = tuple(finding(subject=f"q{n}") for n in range(1000))
    celery.doctor = replace(FOUND, findings=(cause, *beneath, *others))

    page = body(staff)

    assert "and 250 more" in page and "and 801 more" in page
    assert len(page) < 400_000


def test_doctor__is_looked_at_once_a_minute_and_not_at_each_refresh(staff: Client, celery: Celery) -> None:
    page = body(staff)
    assert 'id="findings-now" data-kept="fresh"' in page
    assert re.search(r'<noscript><meta http-equiv="refresh" content="60">', page)
    asked = celery.asked
    part = staff.get(DOCTOR, {"part": "content"})
    assert (part["X-Celery-Health-Part"], "E101" in part.content.decode()) == ("content", False)
    assert celery.asked == asked + 1  # the verdict
    part = staff.get(DOCTOR, {"part": "doctor"})
    assert (part["X-Celery-Health-Part"], "E101" in part.content.decode()) == ("doctor", True)


def test_doctor__shows_hostile_names_as_text(staff: Client, celery: Celery) -> None:
    hostile = finding(
        subject=HOSTILE,
        message=HOSTILE,
        fix=HOSTILE,
        rule=HOSTILE,
        evidence={HOSTILE: HOSTILE, "b": [HOSTILE]},
        because=Cause(code="E1", subject=Subject(kind=Kind.TASK, name=HOSTILE)),
    )
    celery.doctor = replace(FOUND, findings=(hostile,), notes=(HOSTILE,), unanswered=HOSTILE)

    for page in (body(staff), body(staff, PREFIX, part="doctor")):
        assert not [raw for raw in ("<script>alert", "\x1b", "\u202e", "</li><s") if raw in page]
        assert "{{ x }}" in page


# Rules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule__is_explained_without_a_network(staff: Client, celery: Celery, rule: Any) -> None:
    page = body(staff, rule=rule.name)

    assert ", ".join(rule.codes()) in page
    assert "``" not in page
    shown = text(page).replace(" ", "")
    assert rule.summary.replace("``", "").replace(" ", "").replace("'", "&#x27;") in shown
    assert len(shown) > 300


def test_rule__by_its_code_and_an_unknown_one(staff: Client, celery: Celery) -> None:
    assert "beat-task-unregistered" in body(staff, rule="e101")
    answer = staff.get(DOCTOR, {"rule": "<b>nowhere"})
    assert answer.status_code == 404
    assert "The doctor has no rule &lt;b&gt;nowhere." in answer.content.decode()


def test_rule__each_link_of_a_finding_leads_somewhere(staff: Client, celery: Celery) -> None:
    page = body(staff)
    (rule,) = re.findall(r'href="([^"]*\?rule=[^"]*)"', page)
    assert staff.get(urljoin(DOCTOR, rule)).status_code == 200


# What to paste


def fixes() -> list[str]:
    """Return each fix that the docs show."""
    found = re.findall(
        r"^      Fix: (.+)$", "\n".join(p.read_text() for p in PAGES.glob("*.md")), re.MULTILINE
    )
    assert len(found) > 50
    return found


@pytest.mark.parametrize("fix", sorted(set(fixes())))
def test_fix__settings_stand_apart_to_be_copied(fix: str) -> None:
    parts = advice(fix).parts

    assert "".join(part for _, part in parts) == fix
    assert all(part for _, part in parts)
    # Of one that only follows from another, the own words.
    own = code(fix.rpartition("if this is still found: ")[2])
    if own is not None:
        assert own in [part for is_code, part in parts if is_code]


def test_doctor__is_for_those_who_may_see_the_page(
    client_of: Callable[[str], Client], celery: Celery
) -> None:
    assert client_of("user").get(DOCTOR).status_code == 403
    assert celery.asked == 0
