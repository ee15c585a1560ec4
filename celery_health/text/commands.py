"""Commands to paste. What has to be quoted is: names of queues and workers are others' texts.

`split_commands` finds them again within a sentence, for surfaces that let people copy one.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from typing import Final, Literal

from celery_health.text.printable import printable

#: Where no module holds the app under a name: what says so, and holds no sign of a shell's.
NO_ARGUMENT: Final = "REPLACE_BY_YOUR_CELERY_APP"

#: How a worker is called that was given no name: ``celery@<host>``.
_DEFAULT_NODE: Final = "celery@"
#: What the name of a worker's node is better without.
_NO_NODE_NAME: Final = re.compile(r"[^\w.-]+")


class AppName(str):
    """The name of a Celery app, and what has to be pasted to reach it by Celery's command.

    A plain string in its place is its own argument.
    """

    argument: str
    """What follows ``-A``."""
    settings_module: str | None
    """``DJANGO_SETTINGS_MODULE``, where nothing that ``-A`` imports would set it so."""

    def __new__(cls, name: str, argument: str | None = None, settings_module: str | None = None) -> AppName:
        """Make the name; without an argument, it is the name itself."""
        made = super().__new__(cls, name)
        made.argument = argument or name
        made.settings_module = settings_module
        return made


def _celery(app_name: str) -> str:
    """Return ``celery -A <app>``, with the settings that it needs before it."""
    celery = f"celery -A {_quoted(getattr(app_name, 'argument', app_name))}"
    module = getattr(app_name, "settings_module", None)
    return f"DJANGO_SETTINGS_MODULE={_quoted(module)} {celery}" if module else celery


def worker_command(
    app_name: str, queues: Iterable[str] = (), carried: Iterable[str] = (), beside: Iterable[str] = ()
) -> str:
    """Return the command that starts a worker.

    `queues` are taken by the letter. `carried` are those that a worker has now: a blank beside a name is the
    slip in its ``-Q "a, b"`` (Celery keeps it in the name), and must not come back. `beside` are the names of
    workers that go on: two of one name on one host hide each other.
    """
    queues = tuple(queues)
    names = {*queues, *(name.strip() for name in carried)} - {""}
    # -Q ends a name at a comma: under that name no worker can be told to take it.
    renamed = {name: name.replace(",", "_") for name in sorted(names) if "," in name}
    command = f"{_celery(app_name)} worker"
    if any(hostname.startswith(_DEFAULT_NODE) for hostname in beside):
        command += f" -n {_NO_NODE_NAME.sub('-', queues[0] if queues else '').strip('-') or 'worker'}@%h"
    if names:
        command += f" -Q {_quoted(','.join(sorted({renamed.get(name, name) for name in names})))}"
    if renamed:
        pairs = ", ".join(f"'{printable(old)}' to '{printable(new)}'" for old, new in renamed.items())
        command += f"  # first rename queue {pairs}: -Q takes no name with a comma"
    return command


def add_consumer_command(app_name: str, queue: str, hostname: str) -> str:
    """Return the command that has a running worker consume a queue again."""
    return f"{_celery(app_name)} control -d {_quoted(hostname)} add_consumer {_positional(queue)}"


def beat_command(app_name: str) -> str:
    """Return the command that starts a beat."""
    return f"{_celery(app_name)} beat"


def purge_command(app_name: str, queue: str, *others: str) -> str:
    """Return the command that deletes the messages of queues; of those with a comma, only one is taken."""
    if "," in queue:  # two others, for `purge -Q`
        return f"{_celery(app_name)} amqp queue.purge {_positional(queue)}"
    names = [queue, *(other for other in others if "," not in other)]
    return f"{_celery(app_name)} purge -Q {_quoted(','.join(names))}"


def queue_delete_command(app_name: str, queue: str) -> str:
    """Return the command that deletes a queue of RabbitMQ's, if it is empty."""
    return f"{_celery(app_name)} amqp queue.delete {_positional(queue)} false true"


def pool_grow_command(app_name: str, hostname: str) -> str:
    """Return the command that gives a worker one more process."""
    return f"{_celery(app_name)} control pool_grow 1 -d {_quoted(hostname)}"


def letters_command(action: Literal["list", "requeue", "purge", "set-aside"], queue: str) -> str:
    """Return the command that does something with the dead letters of a queue."""
    return f"python manage.py celery_health dead-letters {action} {_positional(queue)}"


def redis_cli(
    host: str | None = None,
    port: int | None = None,
    socket: str | None = None,
    *,
    user: str | None = None,
    asks_password: bool = False,
    tls: bool = False,
) -> str:
    """Return the command that reaches a Redis, without a command of Redis; it asks for a password."""
    options = [
        "--tls" if tls else "",
        f"--user {_quoted(user)}" if user else "",
        "--askpass" if asks_password else "",
        f"-s {_quoted(socket)}" if socket else "",
        f"-h {_quoted(host)}" if host and not socket else "",
        f"-p {port}" if port and not socket else "",
    ]
    return " ".join(["redis-cli", *filter(None, options)])


#: What alarms a RabbitMQ has; on its host.
ALARMS: Final = "rabbitmq-diagnostics alarms"
#: Lets a RabbitMQ use more of its host's memory than the 40 % of its default; on its host, until it restarts.
MORE_MEMORY: Final = "rabbitmqctl set_vm_memory_high_watermark 0.6"


#: Makes the tables of django-celery-results.
RESULTS_TABLES: Final = "python manage.py migrate django_celery_results"


def store_settings() -> str:
    """Return the lines of Django's settings that give celery_health a store; the address is to be changed."""
    return 'CELERY_HEALTH = {\n    "STORE_URL": "redis://localhost:6379/0",\n}'


def _positional(name: str) -> str:
    """Return a name quoted, and where it looks like an option, marked as none."""
    return f"-- {_quoted(name)}" if name.startswith("-") else _quoted(name)


def _quoted(text: str) -> str:
    """Return `text` as one word of a shell's.

    A word that no quote ends never ends with a sign that may as well end the sentence it stands in. What
    nobody sees is spelt out: neither a terminal nor a browser gives it to who copies the command.
    """
    if not text.isprintable():
        spelt = (
            f"{'%%' if sign == '%' else sign}" if sign.isprintable() and sign not in "'\\" else _octal(sign)
            for sign in text
        )
        return f"\"$(printf '{''.join(spelt)}')\""
    quoted = shlex.quote(text)
    return f"'{text}'" if quoted == text and text.endswith((".", ",", ":")) else quoted


def _octal(sign: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", "surrogatepass"))


# Within a sentence ----------------------------------------------------------------------------------------

#: What `_quoted` returns.
_WORD: Final = (
    r"""(?:'[^']*'(?:"'"'[^']*')*|"\$\(printf '[^']*'\)"|[A-Za-z0-9_@%+=:,./-]*[A-Za-z0-9_@%+=/-])"""
)
_NAME: Final = rf"(?:-- )?{_WORD}"
_CELERY: Final = (
    rf"(?:DJANGO_SETTINGS_MODULE={_WORD} )?celery -A {_WORD} (?:"
    rf"worker(?: -n [\w.-]+@%h)?(?: -Q {_WORD})?"
    r"(?:  # first rename queue .*?: -Q takes no name with a comma)?"
    rf"|control -d {_WORD} add_consumer {_NAME}|control pool_grow 1 -d {_WORD}"
    rf"|purge -Q {_WORD}|amqp queue\.purge {_NAME}|amqp queue\.delete {_NAME} false true|beat)"
)
_LETTERS: Final = rf"dead-letters (?:list|requeue|purge|set-aside) {_NAME}"
_MANAGE: Final = (
    rf"python manage\.py celery_health (?:{_LETTERS}|doctor(?: --static)?)|{re.escape(RESULTS_TABLES)}"
)
_REDIS: Final = (
    rf"redis-cli(?: --tls)?(?: --user {_WORD})?(?: --askpass)?(?: -s {_WORD})?(?: -h {_WORD})?(?: -p \d+)?"
    r"(?: (?:'[^']*'|\||[\w*-]+))+"
)
_RABBIT: Final = rf"(?:{ALARMS}|{re.escape(MORE_MEMORY)})"
_COMMAND: Final = rf"(?:{_CELERY}|{_MANAGE}|{_REDIS}|{_RABBIT})"
#: What follows "In celeryconfig: " is pasted into that module.
_IN_MODULE: Final = r"(?<=: )[a-z]+_[a-z_]+"
_KEYS: Final = r"(?:\['[\w.-]+'\])*"
_LINE: Final = rf"(?:app\.conf\.[a-z_]+|CACHES|[A-Z][A-Z0-9]*_[A-Z0-9_]+|{_IN_MODULE}){_KEYS} [|+]?= "
_CALL: Final = r"app\.(?:config_from_object|autodiscover_tasks)\("
#: What is pasted into ``manage.py shell``, which is the rest of the text.
_SHELL: Final = r"(?<=In manage\.py shell: ).+"
_FOUND: Final = re.compile(
    rf"(?<![\w./-])(?:(?P<command>{_COMMAND}(?: && {_COMMAND})*)(?![\w@%+=/-])"
    rf"|(?P<line>{_LINE})|(?P<call>{_CALL})|(?P<shell>{_SHELL}))"
)
_STRING: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_PLAIN_VALUE: Final = re.compile(r"[\w.-]*\w")
#: What Python does not know after a backslash: it warns of it.
_ODD_ESCAPE: Final = re.compile(r"""(?<!\\)(?:\\\\)*\\[^\\'"nrtxuU]""")
#: Characters: of a longer text nothing is looked for, since that takes the square of its length.
_LONGEST: Final = 8000
#: Lines of Python that are looked for in one text.
_MOST_LINES: Final = 20
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


def split_commands(text: str, names: Collection[str] = ()) -> tuple[tuple[bool, str], ...]:
    """Take a text of what to do apart: whether it is to be pasted, and the part; together they are the text.

    What is to be pasted is a command that was made here, a line of settings, or a call of the app. `names`
    are others' texts that may stand in the sentence: what looks like a command within one of them is none.
    """
    if len(text) > _LONGEST:
        return ((False, text),)
    parts: list[tuple[bool, str]] = []
    done = at = lines = 0
    spans = list(_spans_of_names(text, names))
    while found := _FOUND.search(text, at):
        start, at = found.start(), found.end()
        if within := [last for first, last in spans if first <= start < last]:
            at = max(within)  # whatever the name holds
            continue
        lines += found["command"] is None
        end = _end(text, found) if lines <= _MOST_LINES else None
        if end is None:
            continue
        spans = [span for span in spans if not start <= span[0] < end]  # a name within the command
        parts += [(False, text[done:start])] if start > done else []
        parts.append((True, text[start:end]))
        done = at = end
    return (*parts, (False, text[done:])) if done < len(text) else tuple(parts)


def _spans_of_names(text: str, names: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield where names stand in quotes that hold what looks like a command."""
    for name in names:
        if (" " in name or "(" in name) and _FOUND.search(name):  # few are asked twice
            for written in {name, repr(name)[1:-1], printable(name)}:
                for found in re.finditer(rf"(?<=['\"]){re.escape(written)}(?=['\"])", text):
                    yield found.span()


def _end(text: str, found: re.Match[str]) -> int | None:
    """Return where what was found ends; None where it is nothing to paste."""
    if found["line"] is None and found["call"] is None:
        return found.end()
    end = _end_of_value(text, found.end() if found["line"] else found.end() - 1)
    # The next line belongs to it: one sets what the other needs.
    while found["line"] and end is not None and (more := re.compile(f"; {_LINE}").match(text, end)):
        end = _end_of_value(text, more.end())
    line = text[found.start() : end]
    if end is None or _ODD_ESCAPE.search(line):
        return None
    try:
        code = ast.parse(line)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    blanks = (one for one in ast.walk(code) if isinstance(one, ast.Constant) and one.value is ...)
    return None if any(blanks) else end


def _end_of_value(text: str, start: int) -> int | None:
    """Return where a value of Python's ends that starts there."""
    open_brackets: list[str] = []
    at = start
    while at < len(text):
        sign = text[at]
        if sign in _CLOSING:
            open_brackets.append(_CLOSING[sign])
            at += 1
        elif open_brackets and sign == open_brackets[-1]:
            open_brackets.pop()
            at += 1
        elif string := _STRING.match(text, at):
            at = string.end()
        elif open_brackets:
            at += 1
            continue
        else:
            plain = _PLAIN_VALUE.match(text, at)
            return None if plain is None else plain.end()
        if not open_brackets:
            return at
    return None
