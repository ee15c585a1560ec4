"""Whether a message goes through a binding, by the rules of the broker that keeps it. No I/O.

RabbitMQ has AMQP's rules. kombu's other transports emulate exchanges, by rules of their own: there kombu
itself is asked (``kombu/transport/virtual/exchange.py``). Its ``#`` keeps the dot before it, so that ``a.#``
takes no ``a``, and its ``*`` takes several words before kombu 5.7.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from celery import Celery

#: Names in a broker URL that mean AMQP; every other transport of kombu emulates exchanges by itself.
AMQP_TRANSPORTS: Final = frozenset({"amqp", "amqps", "pyamqp", "librabbitmq"})

#: A binding on a broker is whatever somebody wrote there, and kombu makes a regular expression of it, which
#: may take a time that grows with the key's length to the power of the wildcards. No more steps than these.
_MOST_STEPS: Final = 10_000
#: Longer patterns are not compiled: AMQP's limit for a key.
_LONGEST_PATTERN: Final = 255


def transport_of(app: Celery) -> str:
    """Return kombu's name of the transport that the app publishes with, without connecting."""
    # Not by a connection: that imports the transport's library, which a machine that only checks may lack.
    conf: Any = app.conf
    url = conf.broker_write_url
    if isinstance(url, list | tuple):
        url = url[0] if url else None
    scheme, has_scheme, _ = str(url or "").partition("://")
    if not has_scheme:
        return str(conf.broker_transport or "amqp")
    return scheme.partition("+")[0].lower()


def is_virtual(app: Celery) -> bool:
    """Say whether kombu emulates the exchanges of the transport that the app publishes with."""
    return transport_of(app) not in AMQP_TRANSPORTS


def takes(exchange_type: str, pattern: str, key: str, *, is_virtual: bool) -> bool:
    """Say whether a binding with the key `pattern` takes a message with the routing key `key`."""
    if exchange_type == "fanout":
        return True
    if exchange_type == "topic":
        return matches_topic(pattern, key, is_virtual=is_virtual)
    return pattern == key


def matches_topic(pattern: str, key: str, *, is_virtual: bool) -> bool:
    """Say whether a topic binding takes a routing key; `is_virtual`: where kombu emulates exchanges."""
    if not is_virtual:
        # An empty key has no word at all (rabbit_exchange_type_topic), and "#" may stand for none.
        return _walk(pattern.split(".") if pattern else [], key.split(".") if key else [], 0, _any_word)
    if len(pattern) <= _LONGEST_PATTERN:
        expression, longest_key = _kombus(pattern)
        if len(key) <= longest_key:
            return expression is not None and expression.match(key) is not None
    # Too long for an expression that somebody else chose. The same rules, but for wildcards inside a word.
    return _walk(pattern.split("."), key.split("."), 1, _several_words if _star_is_wide() else _one_word)


@lru_cache(maxsize=1024)
def _kombus(pattern: str) -> tuple[re.Pattern[str] | None, int]:
    """Return the expression that kombu uses, and the length of the longest key that it is quick for."""
    # Imported here: few apps have topic exchanges, and the transports' module takes a while.
    from kombu.transport.virtual.exchange import TopicExchange

    exchange: Any = TopicExchange(None)
    try:
        expression = re.compile(exchange.key_to_pattern(pattern))
    except re.error:  # "a.**": kombu fails, too, and nothing gets there
        return None, _MOST_STEPS
    wildcards = pattern.count("*") + pattern.count("#")

    def steps(length: int) -> int:
        """Return in how many ways a key of this length can be shared out among the wildcards."""
        return comb(length + wildcards, wildcards)

    return expression, bisect_right(range(_MOST_STEPS), _MOST_STEPS, key=steps) - 1


@lru_cache(maxsize=1)
def _star_is_wide() -> bool:
    expression, _ = _kombus("*")
    return expression is not None and expression.match("a.b") is not None


#: From the numbers of words that a pattern has taken so far, those after one more "*".
_Star = Callable[[set[int], Sequence[str]], set[int]]


def _walk(pattern: Sequence[str], words: Sequence[str], least: int, star: _Star) -> bool:
    """Say whether `pattern` takes all of `words`: one by one, in no more steps than one times the other.

    `least` is the smallest number of words that ``#`` stands for.
    """
    taken = {0}
    for part in pattern:
        if part == "#":
            taken = set(range(min(taken) + least, len(words) + 1))
        elif part == "*":
            taken = star(taken, words)
        else:
            taken = {n + 1 for n in taken if n < len(words) and words[n] == part}
        if not taken:
            return False
    return len(words) in taken


def _any_word(taken: set[int], words: Sequence[str]) -> set[int]:
    return {n + 1 for n in taken if n < len(words)}


def _one_word(taken: set[int], words: Sequence[str]) -> set[int]:
    return {n + 1 for n in taken if n < len(words) and words[n]}


def _several_words(taken: set[int], words: Sequence[str]) -> set[int]:
    return {n for n in range(min(taken) + 1, len(words) + 1) if words[n - 1]}
