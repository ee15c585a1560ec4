"""Which broker the shop uses: ``BROKER_URL`` in the environment, else ``REDIS_URL``."""

from __future__ import annotations

import os
from typing import Final

URL: Final = os.environ.get("BROKER_URL") or os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0"
IS_REDIS: Final = URL.startswith(("redis", "sentinel"))

# With Redis the lowest priority goes first, with RabbitMQ the highest.
URGENT: Final = 0 if IS_REDIS else 9
NORMAL: Final = 5
WHENEVER: Final = 9 if IS_REDIS else 1
