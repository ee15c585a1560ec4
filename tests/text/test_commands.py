"""Commands that people paste."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from celery_health.text import commands
from celery_health.text.commands import (
    AppName,
    add_consumer_command,
    beat_command,
    letters_command,
    pool_grow_command,
    purge_command,
    worker_command,
)


def test_worker_command__names_its_queues_once_and_sorted() -> None:
    assert worker_command("shop", ["b", "a", "b"]) == "celery -A shop worker -Q a,b"
    assert worker_command("shop") == "celery -A shop worker"


def test_commands__what_others_chose_is_quoted() -> None:
    evil = "x; rm -rf ~"

    assert shlex.split(worker_command("shop", [evil])) == ["celery", "-A", "shop", "worker", "-Q", evil]
    assert shlex.split(add_consumer_command("shop", evil, "w@h")) == [
        "celery", "-A", "shop", "control", "-d", "w@h", "add_consumer", evil,
    ]  # fmt: skip
    assert shlex.split(beat_command(evil)) == ["celery", "-A", evil, "beat"]
    assert shlex.split(purge_command("shop", evil))[-2:] == ["-Q", evil]
    assert shlex.split(pool_grow_command("shop", evil))[-2:] == ["-d", evil]
    assert shlex.split(letters_command("purge", evil))[-2:] == ["purge", evil]


def test_worker_command__a_blank_that_a_worker_took_into_a_name_does_not_come_back() -> None:
    assert worker_command("shop", ["b"], ["a", " b", " c", ""]) == "celery -A shop worker -Q a,b,c"
    # A queue that is really called so.
    assert worker_command("shop", [" b"], ["a", " b"]) == "celery -A shop worker -Q ' b,a,b'"


def test_worker_command__no_worker_can_be_told_of_a_name_with_a_comma() -> None:
    assert worker_command("shop", ["a,b", "c"]) == (
        "celery -A shop worker -Q a_b,c  # first rename queue 'a,b' to 'a_b': -Q takes no name with a comma"
    )
    # What stands behind the sign ends with the line.
    assert "\n" not in worker_command("shop", ["a,\nrm -rf ~"]).partition("#")[2]


def test_worker_command__gets_a_name_of_its_own_beside_a_worker_that_has_the_default_one() -> None:
    beside = ["celery@web-1", "mails@web-1"]
    command = worker_command("shop", ["a b/c"], beside=beside)
    assert command == "celery -A shop worker -n a-b-c@%h -Q 'a b/c'"
    assert worker_command("shop", ["films"], beside=beside[1:]) == "celery -A shop worker -Q films"


def test_purge_command__a_name_with_a_comma_is_not_two_others() -> None:
    assert purge_command("shop", "a,b") == "celery -A shop amqp queue.purge a,b"


def test_commands__a_name_that_looks_like_an_option_is_none() -> None:
    assert add_consumer_command("shop", "-x", "w@h") == "celery -A shop control -d w@h add_consumer -- -x"
    assert letters_command("list", "-x") == "python manage.py celery_health dead-letters list -- -x"


def test_commands__name_the_app_as_celery_finds_it_and_its_settings() -> None:
    app = AppName("shop", "shop.utils:app", "conf.site")

    assert app == "shop"
    assert beat_command(app) == "DJANGO_SETTINGS_MODULE=conf.site celery -A shop.utils:app beat"
    assert beat_command(AppName("shop")) == "celery -A shop beat"


def test_commands__are_made_here_alone() -> None:
    """Nowhere else is a value put into a command: it would not be quoted."""
    pattern = re.compile(
        r"celery -A \{|(?:manage\.py celery_health|dead-letters \w+|celery -A \S+)(?:\s[\w-]+)*\s(?:-\w\s)?\{"
    )
    package = Path(commands.__file__).parents[1]
    found = [
        f"{path.relative_to(package)}:{number}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        if path != Path(commands.__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []
