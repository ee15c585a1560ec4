"""Dead letters on Redis: a list per queue in kombu's own message format, so that a worker could consume it.

What must not come apart is one script: adding and cutting, sending and taking away.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from redis.exceptions import RedisError

from celery_health.conf import Settings
from celery_health.connections.redis import RedisLink, is_timeout
from celery_health.connections.redis_keys import RedisKeys
from celery_health.connections.scripts import Script
from celery_health.dead_letters import scripts
from celery_health.dead_letters.boxes import (
    Batch,
    Box,
    Head,
    Sending,
    Stop,
    Stored,
    UnwritableError,
    Visit,
    Walk,
)
from celery_health.dead_letters.records import Reason
from celery_health.dead_letters.redis_format import decode, encode, encode_aside, message_of
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, LateBrokerError
from celery_health.text.masking import describe_error
from celery_health.text.printable import printable

if TYPE_CHECKING:
    from celery import Celery

#: Letters and bytes fetched at once; one more letter may come over the bytes. Redis serves nobody else for
#: some 2 ms meanwhile.
PAGE_LETTERS: Final = 100
PAGE_BYTES: Final = 1024 * 1024
#: Messages of each of a queue's lists that are looked at before they are set aside, and bytes of all.
MOST_HEADS: Final = 20
MOST_HEAD_BYTES: Final = 64 * 1024 * 1024
#: How long a writer's last batch is remembered: longer than any outage over which it would try again.
SEQUENCE_SECONDS: Final = 86400
#: Answers that come again however often one asks: the key is no list, or this user may not touch it.
_WRONG_TYPE: Final = "WRONGTYPE"
_REFUSALS: Final = (_WRONG_TYPE, "NOPERM", "NoPermissionError")


class RedisBox(Box):
    """Redis and what speaks like it."""

    knows_its_queues: ClassVar[bool] = True

    def __init__(self, app: Celery, settings: Settings) -> None:
        super().__init__(app, settings)
        self._source: Any = app.connection_for_read()
        self._link = RedisLink(self._source)
        self._writer = secrets.token_hex(8)

    @cached_property
    def _keys(self) -> RedisKeys:
        # Not before something is asked: options that kombu cannot use are an error of the asking.
        try:
            return RedisKeys(self._source)
        except Exception as error:
            self._fail(error)

    @property
    def _registry(self) -> str:
        # An exchange of our own, in kombu's format: its bindings name every dead letter queue there is.
        return self._keys.bindings(f"celery_health.{self.app_id}.dead_letters")

    @property
    def _sequence(self) -> str:
        return f"{self._keys.prefix}celery_health:dead_letters:writer:{self._writer}"

    def write(self, batch: Batch, deadline: Deadline) -> int:
        """Add letters, and return how many of the oldest went for them; see the base class."""
        dead = self.dead(batch.queue)
        letters = [encode(letter, dead) for letter in batch.letters]
        member = self._keys.binding(dead, dead)
        keys = (self._keys.prefix + dead, self._sequence, self._registry)
        arguments = [batch.number, self.max_length, SEQUENCE_SECONDS, member, *letters]
        try:
            return int(self._script(scripts.WRITE, keys, arguments, deadline))
        except BrokerError as error:
            if any(refusal in str(error) for refusal in _REFUSALS):
                raise UnwritableError(str(error)) from None
            raise

    def sizes(self, queues: Sequence[str], deadline: Deadline) -> dict[str, int | None]:
        """Return the number of letters of `queues`, and of others that have some; None is unknown."""
        asked = frozenset(queues)
        sizes = self._sizes(queues, deadline)
        return {queue: size for queue, size in sizes.items() if size != 0 or queue in asked}

    def known_sizes(self, queues: Sequence[str], deadline: Deadline) -> dict[str, int | None]:
        """Return the number of letters of every queue that has or had some: Redis knows them all."""
        return self._sizes((), deadline)

    def _sizes(self, queues: Sequence[str], deadline: Deadline) -> dict[str, int | None]:
        members = self._call("SMEMBERS", self._registry, deadline=deadline)
        known = {binding.queue for binding in self._keys.bound(members)}
        asked = {self.dead(queue): queue for queue in queues}
        names = sorted(asked.keys() | {name for name in known if name.endswith(self.suffix)})
        if not names:
            return {}
        found = self._script(scripts.SIZES, [self._keys.prefix + name for name in names], [], deadline)
        return {
            asked.get(name, name.removesuffix(self.suffix)): None if size < 0 else size
            for name, size in zip(names, found, strict=True)
        }

    def walk(
        self,
        queue: str,
        visit: Visit,
        deadline: Callable[[], Deadline],
        sent: Callable[[bool], None] = lambda _: None,
    ) -> Walk:
        """Show the letters of `queue`, all of them if need be; see the base class."""
        key = self._keys.prefix + self.dead(queue)
        kept = shown = 0
        first_size: int | None = None
        while True:
            arguments = [kept, PAGE_LETTERS, PAGE_BYTES, "tail"]
            size, *letters = self._script(scripts.PAGE, [key], arguments, deadline())
            first_size = size if first_size is None else first_size
            # No more than there were: what is sent may fail again, and come in faster than it goes out.
            letters = letters[: first_size - shown]
            for letter in letters:
                stored = decode(letter)
                shown += 1
                said = visit(stored)
                if isinstance(said, Stop):
                    return Walk(size=first_size, shown=shown, complete=True)
                if said is None:
                    kept += 1
                else:
                    sent(self._send(key, stored, said, deadline()))
            if not letters:
                return Walk(size=first_size, shown=shown, complete=True)

    def walk_back(
        self,
        queue: str,
        visit: Callable[[Stored], Stop | None],
        deadline: Callable[[], Deadline],
        skip: int = 0,
    ) -> Walk:
        """Show the newest letters of `queue`; see the base class."""
        key = self._keys.prefix + self.dead(queue)
        shown = 0
        sizes: list[int] = []
        while True:
            arguments = [skip, PAGE_LETTERS, PAGE_BYTES, "head"]
            size, *letters = self._script(scripts.PAGE, [key], arguments, deadline())
            # What came in meanwhile has pushed the others on: those would come once more.
            grown = max(0, size - sizes[-1]) if sizes else 0
            sizes.append(size)
            for letter in letters[grown:]:
                shown += 1
                if visit(decode(letter)) is Stop.STOP:
                    return Walk(size=sizes[0], shown=shown, complete=True)
            if not letters:
                return Walk(size=sizes[0], shown=shown, complete=True)
            skip += len(letters)

    def _send(self, dead_key: str, stored: Stored, sending: Sending, deadline: Deadline) -> bool:
        key = self._keys.list_for(sending.queue, stored.properties.get("priority"))
        message = message_of(stored, sending)
        return bool(self._script(scripts.SEND, [dead_key, key], [stored.token, message], deadline))

    def heads(self, queue: str, deadline: Callable[[], Deadline]) -> Iterator[Head]:
        """Yield the first messages of `queue`; see the base class."""
        before = shown_bytes = 0
        for key in self._keys.lists(queue):
            for index in range(1, MOST_HEADS + 1):
                raw = self._call("LINDEX", key, -index, deadline=deadline())
                if raw is None or shown_bytes > MOST_HEAD_BYTES:
                    break
                raw = raw if isinstance(raw, bytes) else str(raw).encode()
                shown_bytes += len(raw)
                yield Head(token=(key, index), position=before + index, raw=raw)
            before += int(self._call("LLEN", key, deadline=deadline()))

    def waiting(self, queue: str, deadline: Deadline) -> int:
        """Return how many messages `queue` itself holds; see the base class."""
        total = 0
        for key in (*self._keys.lists(queue), self._keys.prefix + self.dead(queue)):
            try:
                length = int(self._call("LLEN", key, deadline=deadline))
            except BrokerError as error:
                if _WRONG_TYPE not in str(error):
                    raise
                raise self._no_list(key, deadline) from None
            total += length
        return total - length  # the last one has the dead letters

    def _no_list(self, key: str, deadline: Deadline) -> BrokerError:
        kind = "something else"
        with suppress(BrokerError):  # a user may be allowed no TYPE
            told = self._call("TYPE", key, deadline=deadline)
            kind = f"a {told.decode() if isinstance(told, bytes) else told}"
        return BrokerError(
            f"The key '{printable(key)}' of this Redis holds {kind} and no list: nothing can be sent to that "
            "queue, and no worker can read it. Find out who else writes to the key, and have it write to "
            "another database. Then give the key another name, by RENAME of Redis."
        )

    def set_aside(self, queue: str, head: Head, reason: Reason, deadline: Callable[[], Deadline]) -> bool:
        """Move a message of `queue` into its dead letters; see the base class."""
        dead = self.dead(queue)
        key, index = head.token
        keys = (key, self._keys.prefix + dead, self._registry)
        arguments = (index, head.raw, encode_aside(head.raw, reason, dead), self._keys.binding(dead, dead))
        return bool(self._script(scripts.SET_ASIDE, keys, arguments, deadline()))

    def purge(self, queue: str, deadline: Deadline) -> int:
        """Remove all letters of `queue`, and return how many there were."""
        key = self._keys.prefix + self.dead(queue)
        return int(self._script(scripts.PURGE, [key], [], deadline))

    def close(self) -> None:
        """Close the connection, if one is open."""
        self._link.close()

    def _script(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], deadline: Deadline
    ) -> Any:
        try:
            return self._link.run(script, keys, arguments, deadline=deadline)
        except (RedisError, OSError) as error:
            self._fail(error)

    def _call(self, *command: Any, deadline: Deadline) -> Any:
        try:
            return self._link.call(*command, deadline=deadline)
        except (RedisError, OSError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        # "from None": a traceback that is logged prints its causes, and their messages are not masked.
        if is_timeout(error) and (late := self._link.own_delay()):
            raise LateBrokerError(f"This process {late}.") from None
        raise BrokerError(describe_error(error, self._link.secrets)) from None
