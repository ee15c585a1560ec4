"""The Lua scripts of the Redis box."""

from __future__ import annotations

from typing import Final

from celery_health.connections.scripts import load

WRITE: Final = load(__name__, "write")
PAGE: Final = load(__name__, "page")
SEND: Final = load(__name__, "send")
SIZES: Final = load(__name__, "sizes")
SET_ASIDE: Final = load(__name__, "set_aside")
PURGE: Final = load(__name__, "purge")
