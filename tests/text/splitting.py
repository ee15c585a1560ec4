"""What every text of what to do must allow: that its commands are found in it, whole."""

from __future__ import annotations

import ast
import re
import shlex
from typing import Final

from celery_health.text.commands import split_commands
from celery_health.text.printable import printable

#: How what is to be pasted begins: nothing of it may be left in a sentence.
_HEADS: Final = re.compile(
    r"celery -A |manage\.py (?:celery_health|shell: \S)|redis-cli |DJANGO_SETTINGS_MODULE="
    r"|rabbitmq-diagnostics |rabbitmqctl "
    r"|(?:app\.conf\.\w+|\b[A-Z]+_[A-Z_]+)(?:\[[^]]*\])? \|?= (?!\.\.\.)"
)


def commands_in(text: str) -> list[str]:
    """Return what is to be pasted of a text, after a look at each and at what is left."""
    parts = split_commands(text)
    assert "".join(part for _, part in parts) == text
    found = [part for is_command, part in parts if is_command]
    for part in found:
        assert printable(part, len(part)) == part, part
        assert is_whole(part), part
    for is_command, part in parts:
        assert is_command or not _HEADS.search(part), (part, text)
    return found


def is_whole(part: str) -> bool:
    """Say whether a shell, or Python, reads it to its end."""
    try:
        if re.match(r"(?:DJANGO_SETTINGS_MODULE=|celery |python |redis-cli |rabbitmq)", part):
            return bool(shlex.split(part, comments=True))
        return bool(ast.parse(part).body)
    except (SyntaxError, ValueError):
        return False
