"""A page that asks before something is done, as a browser has it: read, filled in, sent, followed."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

from django.test import Client

from celery_health import dead_letters
from tests.api.conftest import PREFIX
from tests.page.markup import faults

REQUEUE = f"{PREFIX}page/dead-letters/requeue/"
LETTERS = f"{PREFIX}page/dead-letters/"
PURGE = f"{PREFIX}page/dead-letters/purge/"


def text(page: str) -> str:
    """Return what is read of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.split('<main id="main"')[-1])).split())


@dataclass
class Asked:
    """A page that asks, and its form."""

    client: Client
    path: str
    page: str
    status: int

    def __post_init__(self) -> None:
        # Whatever is asked or answered, a strict policy and a screen reader can do with it.
        found = faults(self.page)
        assert not found, found

    @property
    def read(self) -> str:
        return text(self.page)

    @property
    def hidden(self) -> dict[str, str]:
        found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', self.page)
        return {name: html.unescape(value) for name, value in found}

    @property
    def typed(self) -> str | None:
        found = re.search(r"Type <b>(.*?)</b> to confirm", self.page, flags=re.DOTALL)
        return html.unescape(found[1]) if found else None

    def press(self, **fields: str) -> Asked:
        """Send the form, with what a person typed and ticked, and follow where it leads."""
        (address,) = re.findall(r'<form class="action"[^>]* action="([^"]*)"', self.page)
        form = urlencode({**self.hidden, **fields})
        kind = "application/x-www-form-urlencoded"
        path, _, target = urljoin(self.path, html.unescape(address)).partition("?")
        sent = self.client.post(f"{path}?{target}", form, content_type=kind)
        if sent.status_code == 303:
            # Relative: whatever proxy and prefix stand before it.
            assert sent["Location"].startswith("?")
            return asked(self.client, path, sent["Location"][1:])
        return Asked(self.client, path, sent.content.decode(), sent.status_code)


def asked(client: Client, path: str, query: str = "", **target: str) -> Asked:
    response = client.get(f"{path}?{query or urlencode(target)}")
    return Asked(client, path, response.content.decode(), response.status_code)


def size(queue: str = "celery") -> int | None:
    return dead_letters.sizes().get(queue)
