"""Where an app sends to, by its configuration: an address for people, and one to compare. No I/O.

Not by a connection where that can be helped: it imports the transport's library, which a machine that only
checks may lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kombu.utils.url import parse_url

from celery_health.text.masking import mask

if TYPE_CHECKING:
    from celery import Celery

#: Names of one transport → one of them.
_SAME: Final = {"pyamqp": "amqp", "librabbitmq": "amqp", "valkey": "redis", "valkeys": "rediss"}
_PORTS: Final = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}
#: Where Celery sends to when nobody says.
_UNSET: Final = "amqp://guest:guest@localhost:5672//"
_HERE: Final = frozenset({None, "", "localhost", "127.0.0.1", "::1"})
#: Those that are left out, for transports that number or name their spaces.
_SPACES: Final = {"amqp": "/", "amqps": "/", "redis": "0", "rediss": "0"}


def written_to(app: Celery) -> str:
    """Return the address that the app sends to, masked; of several, all."""
    return mask(_written(app))


def place_of(app: Celery) -> frozenset[str]:
    """Return the broker that the app sends to, to compare: without credentials, with what is left out."""
    return frozenset(map(_place, _written(app).split(";")))


def is_unset(app: Celery) -> bool:
    """Say whether nobody said where the app sends to: it takes Celery's default."""
    conf: Any = app.conf
    return not conf.broker_write_url and not conf.broker_transport


def _written(app: Celery) -> str:
    conf: Any = app.conf
    url = conf.broker_write_url
    if isinstance(url, list | tuple):
        url = ";".join(map(str, url))
    if isinstance(url, str) and "://" in url:
        return url
    if is_unset(app):
        return _UNSET  # without a word of kombu's that no host was named
    connection: Any = app.connection_for_write()
    return str(connection.as_uri(include_password=True))


def _place(url: str) -> str:
    """Return one address so that two ways to write it look alike."""
    try:
        parts = parse_url(url)
    except ValueError:  # whatever stands in the settings
        return url
    transport = _SAME.get(parts["transport"], parts["transport"])
    host = "localhost" if parts["hostname"] in _HERE else parts["hostname"]
    port = parts["port"] or _PORTS.get(transport)
    space = parts["virtual_host"] or _SPACES.get(transport) or ""
    return f"{transport}://{host}:{port}/{space}"
