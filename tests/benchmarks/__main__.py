"""``python -m tests.benchmarks [NAME ...]``: run the benchmarks, print the table, fail if one is over.

Each is a function in a module ``bench_*.py`` of this folder, named ``bench_*``, that returns a `Figure`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent.parent / "example_project")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")

from tests.benchmarks.base import HEADER, Figure  # noqa: E402


def benchmarks(wanted: Sequence[str] = ()) -> Iterator[Callable[[], Figure]]:
    """Return the benchmarks whose name contains one of `wanted`, all without any."""
    for path in sorted(HERE.glob("bench_*.py")):
        module = import_module(f"tests.benchmarks.{path.stem}")
        for name, function in list(vars(module).items()):
            if name.startswith("bench_") and (not wanted or any(part in name for part in wanted)):
                yield function


def main(arguments: Sequence[str]) -> int:
    """Run them one by one, so that each line is there as soon as it is known."""
    import django

    django.setup()
    print(HEADER, flush=True)
    missed = 0
    for benchmark in benchmarks(arguments):
        figure = benchmark()
        missed += not figure.is_met
        print(figure.line(), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
