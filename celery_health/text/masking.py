"""Keep credentials out of everything we show, whatever text they arrive in."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: ``scheme://user:`` and ``scheme://:``, where the password begins. No scheme is longer than that; without
#: a bound, a hostile text would take a time that grows with its square.
_URL_USER = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,40}://[^\s:/@]*:")
_WORD = re.compile(r"\S+")
#: Between URLs to fail over between; another ``;`` or ``,`` may belong to a password.
_NEXT_URL = re.compile(r"([;,])(?=[a-zA-Z][a-zA-Z0-9+.-]{0,40}://)")
#: A value ends at a ``;`` that another name or another URL follows.
_QUERY_SECRETS = re.compile(
    r"(?P<key>[?&;][\w.-]{0,40}(?:password|passwd|pwd|secret|token|api_?key|access_?key)[\w.-]{0,40}=)"
    r"(?:[^&;\s'\"]|;(?![\w+.-]{1,40}(?:=|://)))+",
    re.IGNORECASE,
)
MASK = "**"


def mask(text: object, secrets: Iterable[str | None] = ()) -> str:
    """Return `text` with the passwords of URLs, and each of `secrets`, replaced by ``**``.

    `secrets` are passwords known to the caller, for messages of libraries that print them bare.
    """
    masked = str(text)
    for secret in secrets:
        # A secret of one or two characters would blank half of the message and hide nothing.
        if secret and len(secret) > 2:
            masked = masked.replace(secret, MASK)
    # Most texts have none, and the expression looks at each word of a long traceback.
    if "://" in masked and "@" in masked:
        masked = _WORD.sub(_without_password, masked)
    return _QUERY_SECRETS.sub(rf"\g<key>{MASK}", masked)


def _without_password(found: re.Match[str]) -> str:
    """Return a word without the passwords of the URLs that it holds."""
    return "".join(map(_url_without_password, _NEXT_URL.split(found[0])))


def _url_without_password(text: str) -> str:
    """Return a text without the password of the URL that it holds.

    The password may hold ``@`` or ``/`` too, when somebody forgot to quote it: all up to the last ``@`` goes.
    """
    end = text.rfind("@")
    start = _URL_USER.search(text, 0, end) if end > 0 else None
    if start is None or start.end() == end:  # no password
        return text
    return f"{text[: start.end()]}{MASK}{text[end:]}"


def describe_error(error: BaseException, secrets: Iterable[str | None] = ()) -> str:
    """Return ``Class: message`` in one line, masked, for people to read."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return mask(f"{name}: {text}" if text else name, secrets)
