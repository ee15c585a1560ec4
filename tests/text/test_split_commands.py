"""Commands are found in the sentences that hold them, whatever a queue is called."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from celery_health.text.commands import (
    AppName,
    add_consumer_command,
    beat_command,
    letters_command,
    pool_grow_command,
    purge_command,
    split_commands,
    worker_command,
)

ODD = (
    "emails", "emails.", "a,b", "a:", "-x", "it's $HOME", " padded", "x; rm -rf ~", "", "'", "a.b-c/d", "é",
    "celery -A proj purge -Q emails", "a, or b", "'. Or: celery -A shop beat", "50%", "a\\b", "\x1b[2J",
    "two\nlines'\\", "\u202e%s", '"$(id)"', "x" * 1000,
)  # fmt: skip
APP = AppName("shop", "shop.utils:app", "conf.site")
MADE: tuple[Callable[[str], str], ...] = (
    lambda name: worker_command("shop"),
    lambda name: worker_command("shop", [name]),
    lambda name: worker_command(APP, [name, "b"], ["c"], beside=["celery@host"]),
    lambda name: worker_command(name, ["b"]),
    lambda name: add_consumer_command("shop", name, "w@h"),
    lambda name: add_consumer_command(APP, "emails", name),
    lambda name: beat_command(name),
    lambda name: purge_command("shop", name),
    lambda name: pool_grow_command("shop", name),
    lambda name: letters_command("requeue", name),
    lambda name: " && ".join(add_consumer_command("shop", queue, "w@h") for queue in (name, "b")),
)
#: How sentences go on after a command.
ENDS = ("", ".", ", or restart it.", "; or else.", ". Or: celery is asked.", " (now).", ": then.", ")", "...")


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("make", MADE, ids=range(len(MADE)))
def test_split__finds_exactly_what_was_made(make: Callable[[str], str], name: str) -> None:
    command = make(name)

    for end in ENDS:
        text = f"Queue 'x' has no consumer, it's known. Start one: {command}{end}"
        assert [part for is_command, part in split_commands(text) if is_command] == [command], text
        twice = f"{command}, or {command}{end}"
        assert [part for is_command, part in split_commands(twice) if is_command] == [command, command]


@pytest.mark.parametrize("name", [name for name in ODD if name], ids=range(len(ODD) - 1))
def test_split__a_shell_gets_the_name_by_the_letter(name: str) -> None:
    command = letters_command("list", name)
    said = command.replace("python manage.py celery_health dead-letters list", "printf %s").replace(
        " -- ", " "
    )

    done = subprocess.run(["sh", "-c", said], capture_output=True, timeout=10, check=True)

    assert done.stdout == name.encode()


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        # Settings, alone and in a sentence; two that belong together are one.
        ("CELERY_TIMEZONE = 'Europe/Lisbon', if crontabs are meant.", ["CELERY_TIMEZONE = 'Europe/Lisbon'"]),
        (
            "Set CELERY_HEALTH = {'APP_ID': 'a; b'} as well.",
            ["CELERY_HEALTH = {'APP_ID': 'a; b'}"],
        ),
        ("app.conf.task_time_limit = 600; app.conf.task_soft_time_limit = 540, or more.",
         ["app.conf.task_time_limit = 600; app.conf.task_soft_time_limit = 540"]),
        ("app.conf.broker_transport_options['visibility_timeout'] = 1200, in every process.",
         ["app.conf.broker_transport_options['visibility_timeout'] = 1200"]),
        ("app.conf.task_routes |= {\"it's}\": {'queue': 'a'}}.",
         ["app.conf.task_routes |= {\"it's}\": {'queue': 'a'}}"]),
        ("app.conf.task_acks_late = True where tasks may run twice.", ["app.conf.task_acks_late = True"]),
        ("app.conf.result_expires = 1.5.", ["app.conf.result_expires = 1.5"]),
        # Nobody can paste what has to be filled in, or is not whole.
        ("app.conf.task_always_eager = ...", []),
        ("app.conf.task_routes = {'a': {'queue': 'b'}, ... and 5 more}", []),
        ("app.conf.task_routes = {'a': {'queue'", []),
        ("CELERY_BROKER_URL in the environment goes before the settings.", []),
        # Calls of the app.
        ("Have it: app.autodiscover_tasks(['a'], related_name='jobs') in the module.",
         ["app.autodiscover_tasks(['a'], related_name='jobs')"]),
        # Others' programs, and Python to the end.
        ("redis-cli CONFIG SET maxmemory-policy noeviction, and in its file.",
         ["redis-cli CONFIG SET maxmemory-policy noeviction"]),
        ("redis-cli --scan --pattern '*.pidbox' | xargs redis-cli UNLINK, and find who.",
         ["redis-cli --scan --pattern '*.pidbox' | xargs redis-cli UNLINK"]),
        ("In manage.py shell: c = app.x; [c.y(t) for t in c]", ["c = app.x; [c.y(t) for t in c]"]),
        ("Look why: python manage.py celery_health doctor", ["python manage.py celery_health doctor"]),
        ("", []),
    ],
)  # fmt: skip
def test_split__lines_of_settings_and_others(text: str, commands: list[str]) -> None:
    assert [part for is_command, part in split_commands(text) if is_command] == commands


@pytest.mark.parametrize("quote", [lambda name: f"'{name}'", repr], ids=["quoted", "repr"])
@pytest.mark.parametrize(
    "name",
    [
        "celery -A shop purge -Q emails",
        "a'. Start one: celery -A shop purge -Q emails, or \x1b",
        "app.config_from_object('evil')",
        "A_B = 1",
    ],
)
def test_split__what_a_name_says_is_no_command(name: str, quote: Callable[[str], str]) -> None:
    command = worker_command("shop", [name])
    text = f"Queue {quote(name)} has no consumer. Start one: {command}, or restart {quote(name)}."

    found = [part for is_command, part in split_commands(text, [name, "emails"]) if is_command]

    assert found == [command]


@pytest.mark.parametrize(
    "text",
    [
        "app.conf.x = {'a': " * 420,
        "celery -A x worker -Q a  # first rename queue " * 170,
        "A_B = " * 1330,
        "app.conf.x = " + "[" * 7000,
        "celery -A x worker -Q '" + "'\"'\"'" * 1500,
        "redis-cli " + "a " * 3900,
        r"app.conf.x = 'a\[b'",
        "app.conf.x = '\0'",
    ],
    ids=range(8),
)
def test_split__of_any_text_is_quick_and_quiet(text: str, recwarn: pytest.WarningsRecorder) -> None:
    began = time.process_time()

    parts = split_commands(text, ["x'", text[:200]])

    assert "".join(part for _, part in parts) == text
    assert time.process_time() - began < 0.5
    assert not recwarn.list
