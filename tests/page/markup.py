"""What is wrong with a page's HTML: what a strict policy blocks, a reader misses, or leads elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

#: Elements without an end.
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
#: What an attribute loads or leads to.
ADDRESSES = ("href", "src", "action", "formaction", "data", "poster", "srcset", "xlink:href", "cite", "ping")
#: What names other elements by their ids.
REFERENCES = ("for", "aria-labelledby", "aria-describedby", "aria-controls", "form", "list", "headers")
#: Allowed as they are: the page's own files.
FILES = re.compile(r"(\.\./)*page/files/[0-9a-zA-Z._-]+/[a-z-]+\.(?:css|js|svg)")


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    line: int
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def ancestors(self) -> list[Element]:
        found, each = [], self.parent
        while each is not None:
            found.append(each)
            each = each.parent
        return found

    def all_text(self) -> str:
        """Return its text, as a screen reader has it: without what is hidden from it."""
        if self.attributes.get("aria-hidden") == "true":
            return ""
        named = self.attributes.get("aria-label") or self.attributes.get("alt") or ""
        return " ".join([named, self.text, *(child.all_text() for child in self.children)]).strip()

    def is_hidden(self) -> bool:
        return any(each.attributes.get("aria-hidden") == "true" for each in [self, *self.ancestors()])

    def __str__(self) -> str:
        shown = " ".join(f'{key}="{value[:60]}"' for key, value in self.attributes.items())
        return f"line {self.line}: <{self.tag} {shown}>"


class Document(HTMLParser):
    """The elements of a page, or of a part of one."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.problems: list[str] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        self.problems += [f"{each}: is never ended" for each in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [key for key, _ in attrs]
        parent = self._open[-1] if self._open else None
        element = Element(tag, {key: value or "" for key, value in attrs}, self.getpos()[0], parent)
        self.problems += [f"{element}: {key} twice" for key, n in Counter(names).items() if n > 1]
        if parent is not None:
            parent.children.append(element)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            opened = self._open[-1] if self._open else "nothing"
            self.problems.append(f"line {self.getpos()[0]}: </{tag}> ends {opened}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def of(self, *tags: str) -> list[Element]:
        return [each for each in self.elements if each.tag in tags]


def faults(html: str, *, is_part: bool = False) -> list[str]:
    """Return everything that is wrong, each in words with its line; a part has no head of its own."""
    document = Document(html)
    return [
        *document.problems,
        *_inline(document),
        *_addresses(document),
        *_ids(document, is_part=is_part),
        *_names(document),
        *_forms(document),
        *([] if is_part else _head(document)),
    ]


def _inline(document: Document) -> list[str]:
    found = []
    for each in document.elements:
        found += [
            f"{each}: {key}"
            for key in each.attributes
            if key == "style" or key.startswith("on") or key in ("srcdoc", "background", "bgcolor")
        ]
        if each.tag in ("style", "iframe", "object", "embed", "applet", "base", "frame", "foreignobject"):
            found.append(f"{each}: <{each.tag}>")
        if each.tag == "script" and (each.text.strip() or not each.attributes.get("src")):
            found.append(f"{each}: an inline script")
    return found


def _addresses(document: Document) -> list[str]:
    found = []
    for each in document.elements:
        for key in ADDRESSES:
            value = each.attributes.get(key)
            if value is None or each.tag == "meta":
                continue
            parts = urlsplit(value.strip().replace("\\", "/"))
            if parts.scheme or parts.netloc:
                found.append(f"{each}: {key} leads elsewhere")
            elif each.tag in ("script", "link", "img", "image", "use") and not (
                FILES.fullmatch(value) or value.startswith("#")
            ):
                found.append(f"{each}: {key} is no file of the page's own")
    return found


def _ids(document: Document, *, is_part: bool) -> list[str]:
    counted = Counter(each.attributes["id"] for each in document.elements if "id" in each.attributes)
    found = [f"id {id!r} {n} times" for id, n in counted.items() if n > 1]
    found += [f"id {id!r} is empty or has a space in it" for id in counted if len(id.split()) != 1]
    for each in document.elements:
        for key in REFERENCES:
            ids = each.attributes.get(key, "").split()
            found += [f"{each}: {key} {id!r} is not there" for id in ids if id not in counted]
        href = each.attributes.get("href", "")
        if href.startswith("#") and href[1:] not in counted and not is_part:
            found.append(f"{each}: {href} is not there")
    return found


def _names(document: Document) -> list[str]:
    by_id = {each.attributes["id"]: each for each in document.elements if "id" in each.attributes}

    def named(each: Element) -> bool:
        labels = each.attributes.get("aria-labelledby", "").split()
        return bool(
            each.attributes.get("aria-label", "").strip()
            or any(by_id[label].all_text() for label in labels if label in by_id)
        )

    found = []
    for each in document.of("svg", "img"):
        if each.is_hidden() or any(up.attributes.get("role") == "img" for up in each.ancestors()):
            continue
        title = any(child.tag == "title" and child.text.strip() for child in each.children)
        if not (named(each) or title or each.attributes.get("alt", "").strip()):
            found.append(f"{each}: has no name")
        elif each.tag == "svg" and each.attributes.get("role") not in ("img", "group"):
            found.append(f"{each}: says not what it is")
    for each in document.of("a", "button", "summary", "h1", "h2", "h3", "h4", "th", "caption"):
        if not each.is_hidden() and not named(each) and not each.all_text():
            found.append(f"{each}: has no text")
    for each in document.of("nav"):
        if not named(each):
            found.append(f"{each}: has no name")
    found += [f"{each}: says not of what" for each in document.of("th") if "scope" not in each.attributes]
    for each in document.of("a", "button", "input", "select", "textarea", "summary"):
        if any(up.tag in ("a", "button") for up in each.ancestors()):
            found.append(f"{each}: within another link or button")
        if each.is_hidden():
            found.append(f"{each}: can be reached, and is hidden from readers")
    return found


def _forms(document: Document) -> list[str]:
    labels = {each.attributes.get("for") for each in document.of("label") if each.all_text()}
    found = []
    for each in document.of("input", "select", "textarea"):
        if each.attributes.get("type") == "hidden":
            continue
        inside = any(up.tag == "label" and up.all_text() for up in each.ancestors())
        named = each.attributes.get("aria-label") or each.attributes.get("aria-labelledby")
        if not (inside or named or each.attributes.get("id") in labels):
            found.append(f"{each}: has no label")
    for each in document.of("form"):
        inputs = [one.attributes for one in document.of("input") if each in one.ancestors()]
        is_posted = each.attributes.get("method", "get").lower() == "post"
        if is_posted and not any(one.get("name") == "csrfmiddlewaretoken" for one in inputs):
            found.append(f"{each}: has no CSRF token")
        if not is_posted and any(one.get("name") == "csrfmiddlewaretoken" for one in inputs):
            found.append(f"{each}: shows its CSRF token in the address")
    found += [
        f"{each}: says not what it is"
        for each in document.of("button")
        if each.attributes.get("type") not in ("button", "submit", "reset")
    ]
    return found


def _head(document: Document) -> list[str]:
    found = []
    heads = [each for each in document.of("title") if not any(up.tag == "svg" for up in each.ancestors())]
    if len(heads) != 1 or not heads[0].text.strip():
        found.append(f"{len(heads)} titles")
    if not any(each.attributes.get("lang") for each in document.of("html")):
        found.append("no language")
    if not any(each.attributes.get("name") == "viewport" for each in document.of("meta")):
        found.append("no viewport: small screens shrink it")
    if len(document.of("h1")) != 1:
        found.append(f"{len(document.of('h1'))} first headings")
    levels = [int(each.tag[1]) for each in document.of("h1", "h2", "h3", "h4", "h5", "h6")]
    found += [
        f"a heading of level {level} after one of {before}"
        for before, level in zip(levels, levels[1:], strict=False)
        if level > before + 1
    ]
    if len(document.of("main")) != 1:
        found.append(f"{len(document.of('main'))} mains")
    return found
