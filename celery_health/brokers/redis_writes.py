"""Whether a Redis takes messages: by its own word, in the round trip in which queues are read.

``LPUSHX`` writes nothing to a key that is not there, and is refused whenever writes are, whatever the reason.
``INFO`` says how near the server is to its limits, and what it says of a refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from redis.exceptions import NoPermissionError

from celery_health.connections.redis import is_timeout
from celery_health.connections.redis_keys import RedisKeys
from celery_health.connections.refusals import (
    QUESTIONS,
    Refusal,
    Told,
    by_error,
    by_silence,
    more_memory,
    number,
    told_of,
)
from celery_health.records import NearLimit, Writes

#: How often a server is asked about itself, at most.
INFO_EVERY_SECONDS: Final = 10.0
#: The same where its user may not ask.
FORBIDDEN_MEMORY_SECONDS: Final = 300.0
#: How long the master that sentinels name may say that it is a replica: a failover takes a moment.
FAILOVER_SECONDS: Final = 10.0
#: The share of a limit from which on it is near.
NEAR: Final = 0.9
#: No key is called so: kombu's own separator is in no name of a queue.
KEY: Final = "celery_health.takes_messages\x06\x16never"
#: What a server says of a command that it does not have, or does not let anybody use.
_LACKING: Final = ("unknown command", "unsupported command", "disabled", "not supported")


@dataclass(frozen=True, slots=True)
class Question:
    """What one reading asks besides queues."""

    asks_info: bool

    def commands(self, keys: RedisKeys) -> list[tuple[str, ...]]:
        """Return the commands; the one that may be refused comes last, for it may end the connection."""
        return [*(QUESTIONS if self.asks_info else ()), ("LPUSHX", f"{keys.prefix}{KEY}", "")]


class RedisWrites:
    """Remembers what one Redis said of itself; all readers of a process share one."""

    def __init__(self) -> None:
        self._info: tuple[float, Told, bool] | None = None
        """Until when it holds (monotonic seconds), what was told, and whether this user may not ask."""
        self._read_only_since: float | None = None
        self._is_refused = False
        self.keeps_waiting = False
        """The server last held back what may write."""
        self.lacks_permission = False
        """This user may not even ask."""
        self._has_accepted = False
        self._against: tuple[float, str | None] | None = None
        """Until when (monotonic seconds) it holds, and what the server says to this user's sending."""

    @property
    def is_read_only(self) -> bool:
        """Say whether the server last said that it is a replica."""
        return self._read_only_since is not None

    def question(self) -> Question:
        """Return what to ask now."""
        return Question(self._info is None or time.monotonic() >= self._info[0])

    def told(
        self, question: Question, replies: Sequence[Any], *, redis_cli: str, by_sentinels: bool
    ) -> Writes:
        """Return what the replies to a question say.

        Args:
            question: what was asked.
            replies: to its commands.
            redis_cli: the command that reaches the server.
            by_sentinels: sentinels named the server, and may name another in a moment.
        """
        now = time.monotonic()
        *answers, reply = replies
        if question.asks_info:
            is_forbidden = any(isinstance(answer, Exception) for answer in answers)
            pause = FORBIDDEN_MEMORY_SECONDS if is_forbidden else INFO_EVERY_SECONDS
            self._info = (now + pause, told_of(answers), is_forbidden)
        _, told, is_forbidden = self._info or (0.0, {}, False)
        refusal = None
        self.keeps_waiting, self.lacks_permission = is_timeout(reply), isinstance(reply, NoPermissionError)
        if self.keeps_waiting:
            refusal = by_silence(told, redis_cli)
        elif isinstance(reply, Exception):
            refusal = by_error(reply, told, redis_cli)
        is_other, self._is_refused = (refusal is not None) is not self._is_refused, refusal is not None
        if is_other and not is_forbidden and not question.asks_info:
            # What it said of itself belongs to the state of before: it is asked anew.
            self._info, told = None, {}
        if refusal is None:
            refusal = _full_house(told, redis_cli)
        if refusal is not None:
            return self._refused(refusal, now, by_sentinels=by_sentinels)
        self._read_only_since = None
        near = tuple(one for one in (_memory(told, redis_cli), _clients(told, redis_cli)) if one)
        limits_unknown = _INFO_FORBIDDEN if is_forbidden else None
        if isinstance(reply, Exception) and not str(reply).startswith("WRONGTYPE"):
            return Writes(unknown=_unknown(reply), near=near, limits_unknown=limits_unknown)
        self._has_accepted, self._against = True, None
        return Writes(accepted=True, near=near, limits_unknown=limits_unknown)

    def with_rights(self, writes: Writes, ask: Callable[[], str | None]) -> Writes:
        """Return `writes` of a user who may not ask, with what is known of its right to send.

        `ask` returns what the server says against that; it is called now and then.
        """
        now = time.monotonic()
        if self._against is None or now >= self._against[0]:
            self._against = (now + INFO_EVERY_SECONDS, ask())
        against = self._against[1]
        if against is None:
            return writes
        if not self._has_accepted:  # it may be meant to read alone
            return replace(writes, denied=True, unknown=_may_not_send(against))
        return Writes(
            accepted=False, denied=True, refusal=f"its user may not send any more ({against})", fix=_GIVE_BACK
        )

    def _refused(self, refusal: Refusal, now: float, *, by_sentinels: bool) -> Writes:
        since, self._read_only_since = self._read_only_since, None
        if refusal.is_read_only:
            self._read_only_since = since = now if since is None else since
            if by_sentinels and now - since < FAILOVER_SECONDS:
                return Writes(refusal=refusal.why, fix=refusal.fix, may_be_failover=True)
        return Writes(
            accepted=False, refusal=refusal.why, fix=refusal.fix, serves_connected=refusal.serves_connected
        )

    def close(self) -> None:
        """Do nothing: it has no connection."""


_INFO_FORBIDDEN: Final = (
    "How near the broker is to its maxmemory and maxclients is not watched: its user may not run INFO. "
    "Allow it: ACL SETUSER <user> +info"
)


_GIVE_BACK: Final = (
    "Workers may have ended by it: see that they run again afterwards. Give the user of broker_url back what "
    "kombu needs, also in its configuration: ACL SETUSER <user> +@all '~*' '&*'"
)


def _may_not_send(against: str) -> str:
    return f"Whether the broker takes messages is not known: this process's user may not send ({against})."


def _unknown(error: Exception) -> str:
    text = str(error)
    not_known = "Whether the broker takes messages is not known"
    if isinstance(error, NoPermissionError):
        return (
            f"{not_known}: its user may not run LPUSHX on a key of ours, which is never there ({text}). "
            "Allow it: ACL SETUSER <user> +lpushx '~*celery_health.takes_messages*'"
        )
    if any(sign in text.lower() for sign in _LACKING):
        return f"{not_known}: it has no command LPUSHX ({text})."
    return f"{not_known}. To LPUSHX on a key that is not there it says: {text}"


def _full_house(told: Told, redis_cli: str) -> Refusal | None:
    """Return that nobody new is let in; whoever is connected is served."""
    used, limit = _connections(told), number(told, "maxclients")
    if not limit or used is None or used < limit:
        return None
    return Refusal(
        f"it has as many connections as it allows ({used:,} of {limit:,}, maxclients), "
        "and lets in nobody new",
        _more_clients(limit, redis_cli),
        serves_connected=True,
    )


def _connections(told: Told) -> int | None:
    """Return how many connections count; of its replicas it tells apart."""
    clients = number(told, "connected_clients")
    return None if clients is None else clients + (number(told, "connected_slaves") or 0)


def _more_clients(limit: int, redis_cli: str) -> str:
    return (
        f"See whose they are: {redis_cli} CLIENT LIST. Raise the limit, also in its configuration: "
        f"{redis_cli} CONFIG SET maxclients {2 * limit}"
    )


def _memory(told: Told, redis_cli: str) -> NearLimit | None:
    used, limit = number(told, "used_memory"), number(told, "maxmemory")
    if not limit or used is None or used < NEAR * limit or told.get("maxmemory_policy") != "noeviction":
        return None
    return NearLimit(
        name="maxmemory",
        used=used,
        limit=limit,
        unit="bytes",
        refuses="every message",
        fix=(
            "Remove what fills it, or raise the limit, also in its configuration: "
            f"{more_memory(told, redis_cli)}"
        ),
    )


def _clients(told: Told, redis_cli: str) -> NearLimit | None:
    used, limit = _connections(told), number(told, "maxclients")
    if not limit or used is None or used < NEAR * limit:
        return None
    return NearLimit(
        name="maxclients",
        used=used,
        limit=limit,
        unit="connections",
        refuses="every new connection",
        fix=_more_clients(limit, redis_cli),
    )
