"""How kombu names its keys on a Redis broker, by the app's transport options (`kombu/transport/redis.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisKeys:
    """The names of one app's broker."""

    prefix: str
    """``global_keyprefix``: before every key."""
    separator: str
    suffixes: tuple[str, ...]
    """What follows a queue's name in the keys of its priority steps."""
    unacked: str
    unacked_index: str

    @classmethod
    def of(cls, app: Celery) -> RedisKeys:
        """Return the names that `app` uses."""
        conf: Any = app.conf
        options = conf.broker_transport_options or {}
        prefix, separator = options.get("global_keyprefix") or "", options.get("sep") or "\x06\x16"
        steps = options.get("priority_steps") or (0, 3, 6, 9)
        return cls(
            prefix=prefix,
            separator=separator,
            suffixes=tuple(dict.fromkeys(f"{separator}{step}" if step else "" for step in steps)),
            unacked=prefix + (options.get("unacked_key") or "unacked"),
            unacked_index=prefix + (options.get("unacked_index_key") or "unacked_index"),
        )

    def lists(self, queue: str) -> list[str]:
        """Return the keys of a queue, the one that is served first at the head."""
        return [f"{self.prefix}{queue}{suffix}" for suffix in self.suffixes]

    def bindings(self, exchange: str) -> str:
        """Return the key of the set of an exchange's bindings."""
        return f"{self.prefix}_kombu.binding.{exchange}"

    def exchange_of(self, key: str) -> str:
        """Return the exchange whose bindings `key` holds."""
        return key.removeprefix(self.bindings(""))
