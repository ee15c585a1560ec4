"""The single looks at a Redis: a few commands each, none of which changes anything or takes long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from celery_health.brokers.unreadable import Unreadable, unreadable, unreadable_start
from celery_health.connections.redis import RedisLink
from celery_health.connections.redis_keys import BoundQueue, RedisKeys
from celery_health.connections.scripts import Script, load, script
from celery_health.connections.shared_names import is_made_up
from celery_health.deadline import Deadline
from celery_health.doctor.live import (
    OddMessage,
    RedisServer,
    ReplyQueues,
    UnackedMessages,
    WaitingMessages,
)

#: Messages looked at per list, and queues looked into.
MOST_MESSAGES: Final = 20
MOST_QUEUES: Final = 200
#: So much of them is looked at in one call, and what a call that reads little may be asked for.
BYTES_AT_ONCE: Final = 512 * 1024
LISTS_AT_ONCE: Final = 100
#: Members of one exchange's bindings; above, they are not read.
MOST_BINDINGS: Final = 5000
#: Keys of a database in which unknown queues are searched; above, they are not.
MOST_KEYS: Final = 50_000
_SCAN_COUNT: Final = 1000
#: Reply queues that are looked into, picked at random.
MOST_REPLY_QUEUES: Final = 500

_WAITING: Final = load(__package__, "waiting")
_LENGTHS: Final = script("""
local lengths = {}
for number, key in ipairs(ARGV) do
  local length = redis.pcall('LLEN', key)
  lengths[number] = type(length) == 'number' and length or 0
end
return lengths
""")
#: Lists with messages that will never expire.
_LASTING: Final = script("""
local lists, messages = 0, 0
for _, key in ipairs(ARGV) do
  local length = redis.pcall('LLEN', key)
  if type(length) == 'number' and length > 0 and redis.call('TTL', key) == -1 then
    lists, messages = lists + 1, messages + length
  end
end
return { lists, messages }
""")
#: What kombu and Celery bind for themselves.
_INTERNAL: Final = (".pidbox", "celeryev", "bcast.", ".reply", "amq.")


class Look:
    """Looks at one Redis through one connection, within one deadline."""

    def __init__(self, link: RedisLink, keys: RedisKeys, deadline: Deadline) -> None:
        self.keys = keys
        self.deadline = deadline
        self._link = link
        self._all_bound: dict[str, frozenset[str]] | None = None

    def _call(self, *command: str | bytes | int) -> Any:
        return self._link.call(*command, deadline=self.deadline)

    def _run(self, script: Script, *arguments: str | int) -> Any:
        return self._link.run(script, (), arguments, deadline=self.deadline)

    def server(self, role: str, url: str) -> RedisServer:
        """Return how the server handles its memory."""
        info = {**self._info("memory"), **self._info("stats")}
        return RedisServer(
            role=role,
            url=url,
            policy=info.get("maxmemory_policy"),
            maxmemory_bytes=_whole(info.get("maxmemory")),
            evicted_keys=_whole(info.get("evicted_keys")),
        )

    def databases(self) -> list[int]:
        """Return the numbers of the databases that hold keys."""
        names = [name.removeprefix("db") for name in self._info("keyspace") if name.startswith("db")]
        return sorted(int(name) for name in names if name.isdigit())

    def _info(self, section: str) -> Mapping[str, str]:
        lines = _text(self._call("INFO", section)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))

    def bindings(self, exchanges: Iterable[str]) -> dict[str, tuple[BoundQueue, ...]]:
        """Return what is bound to each exchange; those with too many bindings are left out."""
        found = {}
        for exchange in sorted(exchanges):
            key = self.keys.bindings(exchange)
            if int(self._call("SCARD", key)) <= MOST_BINDINGS:
                found[exchange] = tuple(self._members(key))
        return found

    def _members(self, key: str) -> list[BoundQueue]:
        return self.keys.bound(self._call("SMEMBERS", key))

    def control_names(self, exchange: str) -> tuple[str, ...]:
        """Return the workers that are bound for remote control."""
        names = (binding.queue for binding in self._members(self.keys.bindings(exchange)))
        return tuple(sorted(name.removesuffix(f".{exchange}") for name in names))

    def waiting(
        self,
        queues: Mapping[str, int | None],
        is_task: Callable[[str], bool] = lambda name: False,
        *,
        takes_json: bool = True,
    ) -> dict[str, WaitingMessages]:
        """Return the first messages of each queue that holds any; `unreadable` has the other arguments."""
        filled = sorted(name for name, ready in queues.items() if ready)[:MOST_QUEUES]
        lists = [(name, key) for name in filled for key in self.keys.lists(name)]
        if not lists:
            return {}
        replies: list[Any] = []
        while len(replies) < len(lists):
            rest = lists[len(replies) : len(replies) + LISTS_AT_ONCE]
            replies += self._run(_WAITING, MOST_MESSAGES, BYTES_AT_ONCE, *(key for _, key in rest))
        now = self._now()
        found: dict[str, list[Any]] = {name: [] for name in filled}
        for (name, _), reply in zip(lists, replies, strict=True):
            found[name].append(reply)

        def judge(raw: bytes, size: int) -> Unreadable | None:
            return (
                unreadable(raw, is_task, takes_json=takes_json) if len(raw) == size else unreadable_start(raw)
            )

        return {name: _waiting(parts, now, judge) for name, parts in found.items()}

    def unacked(self) -> UnackedMessages:
        """Return what was delivered and not acknowledged: kombu changes hash and index in one transaction."""
        total, indexed = (
            int(self._call("HLEN", self.keys.unacked)),
            int(self._call("ZCARD", self.keys.unacked_index)),
        )
        oldest = self._call("ZRANGE", self.keys.unacked_index, 0, 0, "WITHSCORES")
        score = oldest[0][1] if oldest and isinstance(oldest[0], list) else oldest[1] if oldest else None
        return UnackedMessages(
            total=total,
            orphaned=max(0, total - indexed),
            oldest_seconds=None if score is None else max(0.0, self._now() - float(score)),
        )

    def reply_queues(self, exchange: str) -> ReplyQueues:
        """Return what callers of remote control left behind."""
        key = self.keys.bindings(exchange)
        bound = int(self._call("SCARD", key))
        picked = self._call("SRANDMEMBER", key, MOST_REPLY_QUEUES) if bound else []
        queues = [binding.queue for binding in self.keys.bound(picked)]
        lists, messages = (
            self._run(_LASTING, *(self.keys.prefix + queue for queue in queues)) if queues else (0, 0)
        )
        return ReplyQueues(lists=int(lists), messages=int(messages), bindings=bound)

    def unknown_queues(self, known: set[str], fanout: Collection[str]) -> dict[str, int]:
        """Return the queues with messages that some exchange has bound and that are not `known`.

        What is bound to one of the `fanout` exchanges is none: nobody reads it by its name.
        """
        bound = self._bound()
        broadcasts = {name for names in self._broadcasts(bound, fanout).values() for name in names}
        names = {name for names in bound.values() for name in names} - known - broadcasts
        return self._filled(name for name in names if not any(part in name for part in _INTERNAL))

    def broadcast_lists(self, fanout: Collection[str]) -> dict[str, dict[str, int]]:
        """Return exchange → lists with messages, of kombu's broadcasts and of the `fanout` exchanges."""
        broadcasts = self._broadcasts(self._bound(), fanout)
        filled = self._filled(name for names in broadcasts.values() for name in names)
        found = {
            exchange: {name: filled[name] for name in sorted(names) if name in filled}
            for exchange, names in sorted(broadcasts.items())
        }
        return {exchange: lists for exchange, lists in found.items() if lists}

    def _broadcasts(
        self, bound: Mapping[str, frozenset[str]], fanout: Collection[str]
    ) -> dict[str, frozenset[str]]:
        return {
            exchange: names if exchange in fanout else frozenset(filter(is_made_up, names))
            for exchange, names in bound.items()
            if not any(part in exchange for part in _INTERNAL)
        }

    def _filled(self, names: Iterable[str]) -> dict[str, int]:
        """Return those queues that hold messages, of the first so many."""
        strange = sorted(set(names))[:MOST_QUEUES]
        lists = [key for name in strange for key in self.keys.lists(name)]
        lengths = self._run(_LENGTHS, *lists) if lists else []
        steps = len(self.keys.suffixes)
        totals = {name: sum(lengths[i * steps : (i + 1) * steps]) for i, name in enumerate(strange)}
        return {name: total for name, total in totals.items() if total}

    def _bound(self) -> Mapping[str, frozenset[str]]:
        """Return exchange → queues bound to it, once; of too large a database none."""
        if self._all_bound is None:
            self._all_bound = {}
            if int(self._call("DBSIZE")) <= MOST_KEYS:
                start = len(self.keys.bindings(""))
                for key in self._binding_keys():
                    names = (binding.queue for binding in self._members(key))
                    self._all_bound[key[start:]] = frozenset(names)
        return self._all_bound

    def _binding_keys(self) -> list[str]:
        cursor, found = "0", set()
        while True:
            cursor, keys = self._call("SCAN", cursor, "MATCH", self.keys.bindings("*"), "COUNT", _SCAN_COUNT)
            found |= {_text(key) for key in keys}
            if _text(cursor) == "0":
                return sorted(found)

    def _now(self) -> float:
        seconds, micro = self._call("TIME")
        return int(seconds) + int(micro) / 1_000_000


def _waiting(
    parts: list[Any], now: float, judge: Callable[[bytes, int], Unreadable | None]
) -> WaitingMessages:
    names: Counter[str] = Counter()
    stamps = []
    for _, _, _, *pairs in parts:
        for name, stamp in zip(pairs[::2], pairs[1::2], strict=True):
            if name:
                names[_text(name)] += 1
            if stamp:
                stamps.append(_number(stamp))
    ahead = [stamp - now for stamp in stamps if stamp is not None]
    return WaitingMessages(
        looked_at=sum(int(part[0]) for part in parts),
        names=dict(names),
        ahead_seconds=max(ahead, default=None),
        unreadable=tuple(_unreadable(parts, judge)),
    )


def _unreadable(parts: list[Any], judge: Callable[[bytes, int], Unreadable | None]) -> Iterator[OddMessage]:
    before = 0
    for _, length, odd, *_ in parts:
        for place, size, raw in zip(odd[::3], odd[1::3], odd[2::3], strict=True):
            found = judge(raw if isinstance(raw, bytes) else str(raw).encode(), int(size))
            if found is not None:
                yield OddMessage(position=before + int(place), size_bytes=int(size), found=found)
        before += int(length)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except ValueError:  # somebody else's header of this name
        return None


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _text(value: Any) -> str:
    # A server may hold any bytes under any name.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
