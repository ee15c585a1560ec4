"""The script, the style and the icons of the pages, by a view of our own: ``collectstatic`` is not needed."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

_FOLDER: Final = Path(__file__).parent / "files"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: A file's address holds its version: it never changes.
_FOR_EVER: Final = "public, max-age=31536000, immutable"


class File(NamedTuple):
    """One file, as it is sent."""

    content: bytes
    type: str


@lru_cache(maxsize=1)
def files() -> dict[str, File]:
    """Return every file by its name."""
    return {
        path.name: File(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
    }


@lru_cache(maxsize=1)
def version() -> str:
    """Return what stands in the addresses of the files: it changes when one of them does."""
    digest = hashlib.sha256()
    for name, file in files().items():
        digest.update(f"{name} {len(file.content)} ".encode())
        digest.update(file.content)
    return digest.hexdigest()[:12]


# Outside transactions: ATOMIC_REQUESTS would need a living database.
@transaction.non_atomic_requests
@require_safe
def file_of_page(request: HttpRequest, asked: str, name: str) -> HttpResponse:
    """Answer one file; it holds nothing that not everybody may see, and asks nobody who they are."""
    file = files().get(name)
    if file is None:
        return HttpResponse("There is no such file.\n", status=404, content_type="text/plain; charset=utf-8")
    response = HttpResponse(file.content, content_type=file.type)
    # While a new version is rolled out, an old page may be answered by a new process.
    response["Cache-Control"] = _FOR_EVER if asked == version() else "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
