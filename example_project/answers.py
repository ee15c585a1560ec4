"""Ask the shop's web server, and show what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    """0 when nobody answered."""
    body: Any = None
    """Decoded JSON, else None."""


def get(url: str) -> Answer:
    """Return what `url` answers, whatever it is, within five seconds."""
    # No proxy of the environment has any business between us and the loopback interface.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            status, raw = response.status, response.read()
    except HTTPError as error:
        with error:
            status, raw = error.code, error.read()
    except (URLError, OSError):
        return Answer(status=0)
    try:
        return Answer(status=status, body=json.loads(raw))
    except ValueError:
        return Answer(status=status)


def pretty(answer: Answer) -> str:
    """Return the answer's JSON for people to read."""
    return json.dumps(answer.body, indent=2, ensure_ascii=False)
