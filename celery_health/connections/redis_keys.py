"""How kombu names its keys on a Redis broker: asked of its own channel, with the transport options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from kombu import Connection

from celery_health.connections.redis import bare_channel


class BoundQueue(NamedTuple):
    """One member of the set of an exchange's bindings."""

    routing_key: str
    queue: str
    is_pattern: bool = False
    """The exchange is a topic: only for those does kombu write an expression beside the key."""


class RedisKeys:
    """The names on one broker, each with the prefix that kombu's own clients would add."""

    prefix: str
    """``global_keyprefix``."""
    separator: str
    suffixes: tuple[str, ...]
    """What follows a queue's name in the keys of its priority steps, first the one that is served first."""
    unacked: str
    """Hash of what was delivered and not acknowledged."""
    unacked_index: str
    """When that was."""

    def __init__(self, source: Connection) -> None:
        """Take the options from `source`, which leads to a Redis and is not opened."""
        channel = bare_channel(source)
        # An empty option is none, though kombu would stumble over it.
        channel.priority_steps = channel.priority_steps or type(channel).priority_steps
        self._channel: Any = channel
        self.prefix = str(channel.global_keyprefix or "")
        self.separator = str(channel.sep or type(channel).sep)
        # Two steps may share a key: kombu rounds a priority down to the nearest step.
        self.suffixes = tuple(dict.fromkeys(channel._q_for_pri("", step) for step in channel.priority_steps))
        self.unacked = f"{self.prefix}{channel.unacked_key}"
        self.unacked_index = f"{self.prefix}{channel.unacked_index_key}"

    def lists(self, queue: str) -> list[str]:
        """Return the keys of a queue, first the one that is served first."""
        return [f"{self.prefix}{queue}{suffix}" for suffix in self.suffixes]

    def list_for(self, queue: str, priority: object) -> str:
        """Return the key of the list that kombu puts a message with this ``priority`` property in."""
        try:
            number = self._channel._get_message_priority({"properties": {"priority": priority}})
        except OverflowError:  # infinity, which JSON texts may hold
            number = self._channel.default_priority
        return f"{self.prefix}{self._channel._q_for_pri(queue, number)}"

    def bindings(self, exchange: str) -> str:
        """Return the key of the set of an exchange's bindings."""
        return f"{self.prefix}{self._channel.keyprefix_queue % (exchange,)}"

    def binding(self, routing_key: str, queue: str) -> str:
        """Return a member of such a set, for an exchange without patterns."""
        return self.separator.join((routing_key, "", queue))

    def bound(self, members: Iterable[bytes | str]) -> list[BoundQueue]:
        """Return the bindings that the members of such a set are, sorted; what is not kombu's is left out."""
        found = []
        for member in sorted(map(_text, members)):
            parts = member.split(self.separator)
            if len(parts) >= 3:  # routing key, pattern, queue
                found.append(BoundQueue(parts[0], parts[-1], is_pattern=bool(parts[1])))
        return found


def _text(value: bytes | str) -> str:
    # A server may hold any bytes under any name; what is no text must not fail the reading.
    return value.decode(errors="replace") if isinstance(value, bytes) else value
