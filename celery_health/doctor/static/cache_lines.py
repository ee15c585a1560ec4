"""The line that gives a cache another database, to paste behind the settings that are there.

No password stands in it: where an address has one, the line changes what the settings hold already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery_health.text.masking import mask

#: The database in a query, which goes before the one in the path.
_IN_QUERY: Final = re.compile(r"([?&](?:db|virtual_host)=)\d*")
_IN_PATH: Final = re.compile(r"^([a-z]+://[^/?]*)(?:/\d*)?(?=$|\?)")


def line_of(setting: str, location: Any, urls: Sequence[str], database: int) -> str:
    """Return the line; `urls` are the servers of `location`, none where it is written in parts."""
    if isinstance(location, Mapping):
        return f"{setting}['db'] = {database}"
    name = f"{setting}['LOCATION']" if setting.startswith("CACHES[") else setting
    if all(mask(url) == url for url in urls):
        changed = [_elsewhere(url, database) for url in urls]
        return f"{name} = {changed if isinstance(location, list | tuple | set) else ','.join(changed)!r}"
    change = f"'{'&' if '?' in urls[0] else '?'}db={database}'"
    if named := _IN_QUERY.search(urls[0]):
        change = f".replace({named[0]!r}, {f'{named[1]}{database}'!r})"
    if isinstance(location, str) and len(urls) == 1:
        return f"{name} {'= ' + name if named else '+='} {change}".replace(" .replace", ".replace")
    listed = name if not isinstance(location, str) else f"{name}.replace(';', ',').split(',')"
    each = f"[url{change if named else ' + ' + change} for url in {listed}]"
    return f"{name} = {each}"


def _elsewhere(url: str, database: int) -> str:
    """Return a URL with another database."""
    if _IN_QUERY.search(url):
        return _IN_QUERY.sub(rf"\g<1>{database}", url, count=1)
    if url.startswith(("unix:", "redis+socket:")):
        return f"{url}{'&' if '?' in url else '?'}db={database}"
    return _IN_PATH.sub(rf"\g<1>/{database}", url, count=1)
