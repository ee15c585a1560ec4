"""Keep credentials out of everything we show, whatever text they arrive in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from celery_health.exceptions import RaisedError

#: ``scheme://user:`` and ``scheme://:``, where the password begins; a user may be a mail address. No scheme
#: is longer than that; without a bound, a hostile text would take a time that grows with its square.
_URL_USER = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,40}://(?!\[)[^\s:/]*:")
_WORD = re.compile(r"\S+")
#: Between URLs to fail over between; another ``;`` or ``,`` may belong to a password.
_NEXT_URL = re.compile(r"([;,])(?=[a-zA-Z][a-zA-Z0-9+.-]{0,40}://)")
#: What follows the last ``@`` of a URL, or its ``://``: a host, and nothing that may be a password's begin.
_HOST = re.compile(r"(?:\[[^\]]*\](?::\d*)?|[^\s:/?#\[]+(?::\d*)?)?(?:[/?#,;'\"\])}>]|\.?$)")
#: What holds a secret, by its name in a query: wherever in the name it stands, or at its end.
_ANYWHERE = r"passw|passphrase|passcode|pwd|secret|token|credential|api[_.-]?key|access[_.-]?key"
_AT_END = r"pass|creds?|auth|authorization|jwt|signature|sig|(?:account|private|shared)[_.-]?key"
#: A value ends at a ``;`` that another name or another URL follows.
_QUERY_SECRETS = re.compile(
    rf"(?P<key>[?&;](?:[\w.-]{{0,40}}(?:{_ANYWHERE})[\w.-]{{0,40}}|[\w.-]{{0,40}}(?:{_AT_END}))=)"
    r"(?:[^&;\s'\"]|;(?![\w+.-]{1,40}(?:=|://)))+",
    re.IGNORECASE,
)
#: ``urllib.parse`` shows what it takes for a port: a password with a ``/``, or with no host behind it.
_PORT_ERROR = re.compile(r"(?<=Port could not be cast to integer value as )(?:'[^']*'|\"[^\"]*\")")
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
    if "Port could not" in masked:
        masked = _PORT_ERROR.sub(f"'{MASK}'", masked)
    return _QUERY_SECRETS.sub(rf"\g<key>{MASK}", masked)


def _without_password(found: re.Match[str]) -> str:
    """Return a word without the passwords of the URLs that it holds."""
    shown, url = [], []
    for part in _NEXT_URL.split(found[0]):
        url.append(part)
        if _has_host(part):
            shown.append(_url_without_password("".join(url)))
            url.clear()
    return "".join([*shown, _url_without_password("".join(url))])


def _has_host(part: str) -> bool:
    """Say whether a URL ends in this part of a text; else the next URL may be the rest of its password."""
    user, at, host = part.rpartition("@")
    if not at:
        user, at, host = part.rpartition("://")
    return bool(at) and _HOST.match(host) is not None


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
    error = error.raised if isinstance(error, RaisedError) else error
    text = " ".join(str(error).split())
    name = type(error).__name__
    return mask(f"{name}: {text}" if text else name, secrets)
