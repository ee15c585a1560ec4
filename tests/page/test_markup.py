"""Every page, as a strict policy, a screen reader and a keyboard have it: found by following the links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from celery_health.exceptions import ConfigurationError
from celery_health.records import (
    BeatState,
    BrokerState,
    RunningTask,
    Snapshot,
    StoreState,
    TaskOutcomes,
    WorkerState,
)
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker
from tests.api.conftest import FOUND, PREFIX, Celery
from tests.page.markup import Document, faults

HOSTILE = "</td></svg><script>alert(1)</script>\" onclick='x' \x1b[31m\u202e{{ x }} javascript:alert(1)"
#: Two things may have names that differ in what an id cannot hold, or after what is shown of them.
NAMES = (
    "emails",
    "e mails",
    "e-mails",
    "e/mails",
    "",
    HOSTILE,
    "n" * 300 + "1",
    "n" * 300 + "2",
    "..",
    "#?&",
)


def full() -> Snapshot:
    """Return a system in which everything that a page can show is there, some of it hostile."""
    running = [
        RunningTask(worker=f"w{n}@host", task_id=name, task_name=name, queue=name, runtime_seconds=3.0)
        for n, name in enumerate(NAMES)
    ]
    workers = [
        make_worker(f"w{n}@host", queues=NAMES, active=(task,), active_count=1, state=state)
        for (n, task), state in zip(enumerate(running), [*WorkerState] * 9, strict=False)
    ]
    return make_snapshot(
        workers=[*workers, *(make_worker(name) for name in NAMES)],
        queues=[make_queue(name, ready=None if n == 3 else 5_000 * n) for n, name in enumerate(NAMES)],
        recent={
            name: TaskOutcomes(succeeded=9 * n, failed=20 - n, retried=1, unknown=2)
            for n, name in enumerate(NAMES)
        },
        beats=[
            make_beat(
                name,
                state=BeatState.OK,
                entries=(make_entry(name, task=name, beat=name, schedule=name, queue=name),),
            )
            for name in NAMES
        ],
        store=StoreState(configured=True, reachable=True, url="redis://store/0"),
        dead_letters={name: None if n == 3 else n for n, name in enumerate(NAMES)},
        notes=(HOSTILE,),
    )


def broken() -> Snapshot:
    """Return a system of which nothing is known."""
    return make_snapshot(
        workers=[],
        queues=[],
        broker=BrokerState(transport="redis", url="redis://b/0", reachable=False, error=HOSTILE),
        store=StoreState(configured=True, reachable=False, url="redis://s/0", error=HOSTILE),
    )


SYSTEMS = {
    "full": full,
    "empty": lambda: make_snapshot(workers=[], queues=[]),
    "healthy": make_snapshot,
    "broken": broken,
}


def walk(client: Client, most: int = 150) -> Iterator[tuple[str, Any]]:
    """Yield each page that the overview leads to, over however many others, with its answer."""
    todo, seen = [PREFIX], {PREFIX}
    while todo and len(seen) <= most:
        address = todo.pop(0)
        answer = client.get(address)
        yield address, answer
        if answer["Content-Type"].startswith("text/html"):
            for each in Document(answer.content.decode()).of("a"):
                leads_to = urljoin(address, each.attributes.get("href", "")).partition("#")[0]
                if urlsplit(leads_to).path.startswith((PREFIX + "page/", PREFIX)) and leads_to not in seen:
                    seen.add(leads_to)
                    todo.append(leads_to)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_pages__are_sound_html(staff: Client, celery: Celery, system: Any) -> None:
    celery.snapshot = system()
    finding = replace(
        FOUND.findings[0], code="W299", message=HOSTILE, fix=HOSTILE, evidence={HOSTILE: [HOSTILE]}
    )
    celery.doctor = replace(FOUND, findings=(*FOUND.findings, finding), notes=(HOSTILE,))

    pages, found = 0, []
    for address, answer in walk(staff):
        # Behind the pages, JSON takes no empty name, and has a status of its own for what is unhealthy.
        if answer.status_code not in ((200,) if f"{PREFIX}page/" in address else (200, 400, 503)):
            found.append(f"{address}: {answer.status_code}, and it is linked")
        if answer["Content-Type"].startswith("text/html"):
            pages += 1
            found += [f"{address}: {fault}" for fault in faults(answer.content.decode())]
            part = staff.get(address, {"part": "content"})
            if part.status_code == 200 and "?" not in address:
                found += [f"{address} part: {fault}" for fault in faults(part.content.decode(), is_part=True)]

    assert "\n".join(sorted(set(found))) == ""
    assert pages >= 8


def test_pages__that_say_what_is_wrong_are_sound_html(staff: Client, celery: Celery, client_of: Any) -> None:
    refused = client_of("user").get(PREFIX)
    unknown = staff.get(PREFIX, {"prt": HOSTILE})
    nowhere = staff.get(f"{PREFIX}page/queues/", {"name": HOSTILE + "not there"})
    celery.error = ConfigurationError(HOSTILE)
    failed = staff.get(PREFIX)

    assert [one.status_code for one in (refused, unknown, failed)] == [403, 400, 500]
    for answer in (refused, unknown, nowhere, failed):
        assert faults(answer.content.decode()) == []


# That the faults are found


SOUND = """<!doctype html><html lang="en"><head><meta name="viewport" content="x"><title>T</title>
<link rel="stylesheet" href="../page/files/1/page.css"></head><body><main><h1>H</h1>{}</main></body></html>"""


def test_faults__of_a_sound_page_are_none() -> None:
    assert faults(SOUND.format("")) == []
    assert (
        faults(SOUND.format('<h2>x</h2><p id="a">&lt;script&gt; javascript</p><a href="?a=javascript">x</a>'))
        == []
    )
    assert (
        faults(
            SOUND.format(
                '<svg aria-hidden="true"><path d="M0 0"/></svg><svg role="img" aria-label="x"></svg>'
            )
        )
        == []
    )
    assert (
        faults(SOUND.format('<label for="q">Q</label><input id="q"><label>R <input name="r"></label>')) == []
    )


@pytest.mark.parametrize(
    "html",
    [
        '<p style="color:red">x</p>',
        "<style>p{}</style>",
        "<script>x()</script>",
        '<script src="https://elsewhere.example/x.js"></script>',
        '<script src="//elsewhere.example/x.js"></script>',
        '<script src="/static/x.js"></script>',
        '<p onclick="x()">x</p>',
        '<p/onclick="x()">x</p>',
        '<img alt="x" src="https://elsewhere.example/x.png">',
        '<img src="../page/files/1/icon.svg">',
        '<a href="https://elsewhere.example/">x</a>',
        '<a href="/\\elsewhere.example/">x</a>',
        '<a href="java&#10;script:alert(1)">x</a>',
        '<form action="https://elsewhere.example/"><button type="submit">x</button></form>',
        '<p id="a">x</p><p id="a">y</p>',
        '<p id="a b">x</p>',
        '<p aria-labelledby="nowhere">x</p>',
        '<a href="#nowhere">x</a>',
        "<svg><path/></svg>",
        '<svg role="img"><title> </title></svg>',
        '<svg aria-label="x"></svg>',
        "<input name=x>",
        '<label for="y">x</label><input id="x">',
        "<select></select>",
        '<form method="post"><button type="submit">x</button></form>',
        '<form><input type="hidden" name="csrfmiddlewaretoken" value="x"></form>',
        "<button>x</button>",
        '<button type="button"></button>',
        '<a href="?x"></a>',
        '<a href="?x"><svg aria-hidden="true"></svg></a>',
        '<a href="?x"><button type="button">x</button></a>',
        '<span aria-hidden="true"><a href="?x">x</a></span>',
        "<p><b>x</p></b>",
        "<div>",
        "</div>",
        '<p class="a" class="b">x</p>',
        "<h3>x</h3>",
        "<h1>x</h1>",
        "<main></main>",
        "<nav></nav>",
        "<table><tr><th>x</th></tr></table>",
        '<iframe src="?x"></iframe>',
        '<base href="?x">',
    ],
)  # fmt: skip
def test_faults__are_found(html: str) -> None:
    assert faults(SOUND.format(html)) != []


@pytest.mark.parametrize(
    "missing", ['lang="en"', "<title>T</title>", '<meta name="viewport" content="x">', "<h1>H</h1>"]
)
def test_faults__of_a_head_are_found(missing: str) -> None:
    assert faults(re.sub(re.escape(missing), "", SOUND.format(""))) != []
