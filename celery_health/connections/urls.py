"""The URLs of a connection: several to fail over between, and the passwords in them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from kombu import Connection

from celery_health.deadline import Deadline
from celery_health.text.commands import redis_cli
from celery_health.text.masking import MASK, mask


def try_each_url(connection: Connection, deadline: Deadline, attempt: Callable[[Deadline], None]) -> None:
    """Call `attempt` till it succeeds, once for each URL of `connection`, which is switched in between.

    Each gets an equal part of what is then left of `deadline`.

    Raises:
        Exception: what the last attempt raised.
    """
    kombu: Any = connection
    # The URLs of a sentinel broker are its sentinels: redis-py asks them all in one attempt.
    attempts = 1 if kombu.transport_cls == "sentinel" else max(1, len(kombu.alt))
    for left in range(attempts, 0, -1):
        try:
            attempt(deadline if left == 1 else deadline.within(deadline.remaining() / left))
        except Exception:
            if left == 1 or deadline.expired:
                raise
            kombu.maybe_switch_next()
        else:
            return


def secrets_of(connection: Connection) -> tuple[str, ...]:
    """Return the passwords in a connection's configuration, quoted and unquoted: for masking only."""
    kombu: Any = connection
    found = [kombu.password, (kombu.transport_options.get("sentinel_kwargs") or {}).get("password")]
    for url in kombu.alt or ():
        with contextlib.suppress(ValueError):
            found.append(urlsplit(url).password)
    texts = [text for text in found if isinstance(text, str) and text]
    return tuple(dict.fromkeys([*texts, *map(unquote, texts), *(quote(text, safe="") for text in texts)]))


def masked_url(connection: Connection) -> str:
    """Return the URL of the broker, or all joined by ``;``, with ``**`` for each password that there is."""
    kombu: Any = connection
    # Asked to leave out the password, kombu 5.7 writes "**" also where there is none.
    urls = kombu.alt or [kombu.as_uri(include_password=not kombu.password)]
    # All at once: a password with a ";" may have been taken for two URLs.
    text = ";".join(urls)
    for secret in secrets_of(connection):
        # Not wherever it stands: a user, a host or a database may be called the same.
        text = text.replace(f":{secret}@", f":{MASK}@")
    return mask(text)


def redis_cli_of(connection: Connection) -> str:
    """Return the command that reaches the Redis of `connection`, as far as its URL names it; no secret."""
    kombu: Any = connection
    # The URLs of a sentinel broker are its sentinels.
    host: str = "" if kombu.transport_cls == "sentinel" else kombu.hostname or ""
    is_socket = host.startswith("socket://")
    return redis_cli(
        None if is_socket else host,
        kombu.port if host and not is_socket else None,
        host.removeprefix("socket://").partition("?")[0] if is_socket else None,
        user=unquote(kombu.userid) if kombu.userid and kombu.password else None,
        asks_password=bool(kombu.password),
        tls=kombu.transport_cls == "rediss" or bool(kombu.ssl),
    )


def is_same_server(one: str | None, other: str | None) -> bool:
    """Say whether two masked URLs lead to one server; users and databases may differ."""
    return bool(one) and bool(other) and _server(one or "") == _server(other or "")


def user_of(url: str | None) -> str:
    """Return what stands before the host in a masked URL: the user, and that it has a password."""
    return (url or "").partition("://")[2].partition("/")[0].rpartition("@")[0]


def _server(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
