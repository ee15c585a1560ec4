"""Keep credentials out of everything we show, whatever text they arrive in."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: ``scheme://user:password@`` and ``scheme://:password@``; the password may itself hold ``@`` or ``/``
#: when somebody forgot to quote it, so everything up to the last ``@`` before white space goes.
_URL_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<user>[^\s:/@]*):[^\s]*@")
_QUERY_SECRETS = re.compile(
    r"(?P<key>[?&;](?:password|passwd|pwd|secret|token|api_?key|access_?key)=)[^&;\s'\"]+", re.IGNORECASE
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
        masked = _URL_CREDENTIALS.sub(rf"\g<scheme>\g<user>:{MASK}@", masked)
    return _QUERY_SECRETS.sub(rf"\g<key>{MASK}", masked)


def describe_error(error: BaseException, secrets: Iterable[str | None] = ()) -> str:
    """Return ``Class: message`` in one line, masked, for people to read."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return mask(f"{name}: {text}" if text else name, secrets)
