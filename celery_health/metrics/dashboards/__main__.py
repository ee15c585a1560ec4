"""``python -m celery_health.metrics.dashboards FOLDER``: write the dashboards there."""

from __future__ import annotations

import sys
from pathlib import Path

from celery_health.metrics.dashboards import write


def main(argv: list[str]) -> int:
    """Write the dashboards into the folder that is named; return the exit status."""
    if len(argv) != 1 or argv[0].startswith("-"):
        print("Usage: python -m celery_health.metrics.dashboards FOLDER", file=sys.stderr)
        return 2
    folder = Path(argv[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in write(folder):
            print(path)
    except OSError as error:
        print(f"Folder {str(folder)!r} cannot be written to ({error}): name another.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
