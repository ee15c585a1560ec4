"""Walk the pages as somebody does who clicks on everything: from the overview along every link."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from django.test import Client

_ENDLESS = 1000
#: What a browser fetches or goes to.
_ADDRESSES = ("href", "src", "action", "data-icons")


@dataclass
class Html(HTMLParser):
    """What of a page a policy, a proxy or a reader cares for."""

    addresses: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    refreshes: list[str] = field(default_factory=list)
    forms: int = 0
    _inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.addresses += [
            given[name] + ("healthy.svg" if name == "data-icons" else "")
            for name in _ADDRESSES
            if given.get(name)
        ]
        self.ids += [given["id"]] if "id" in given else []
        self.inline += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        self.refreshes += [given["content"]] if given.get("http-equiv") == "refresh" else []
        self.forms += tag == "form"
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self._inside = tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Html:
    """Return what a page holds."""
    parser = Html()
    parser.feed(html)
    parser.close()
    return parser


def walk(client: Client, start: str, *, proxy: str = "", each: int | None = None) -> dict[str, Any]:
    """Return address → answer of all that can be reached from `start`, a page's address.

    `proxy` is the prefix by which a proxy is asked, and which it takes off. Of `each` kind of page so many
    are visited; None for all.
    """
    answers: dict[str, Any] = {}
    visits: Counter[str] = Counter()
    todo = [start]
    while todo:
        address = todo.pop()
        kind = kind_of(address)
        if address in answers or (each is not None and visits[kind] >= each):
            continue
        visits[kind] += 1
        assert len(answers) < _ENDLESS, "This never ends."
        answers[address] = answer = client.get(address)
        if not answer.get("Content-Type", "").startswith("text/html"):
            continue
        for found in read(body_of(answer)).addresses:
            parts = urlsplit(urljoin(proxy + address, found))
            assert not parts.netloc, f"{address} leads to another host: {found}"
            path = parts.path
            assert path.startswith(proxy + start), f"{address} leads out of the app: {found}"
            todo.append(path[len(proxy) :] + (f"?{parts.query}" if parts.query else ""))
    return answers


def body_of(answer: Any) -> str:
    """Return the text of an answer, as a browser has it."""
    content: bytes = answer.content
    return (gzip.decompress(content) if answer.get("Content-Encoding") == "gzip" else content).decode()


def kind_of(address: str) -> str:
    """Return which page an address is of, without what it names."""
    return re.sub(r"/files/[0-9a-f]+/", "/files/", urlsplit(address).path)
