"""axe-core, which a package of the test extra brings along, run on the page that a browser shows."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

#: Package → where it keeps the program: one for Python 3.12 and newer, one for 3.11.
_PACKAGES: Final = {
    "axe_selenium_python": "node_modules/axe-core/axe.min.js",
    "axe_core_python": "axe.min.js",
}
_RUN: Final = """
    const done = arguments[arguments.length - 1];
    axe.run(document, { resultTypes: ["violations"] }).then(
        (found) => done(found.violations),
        (error) => done([{ id: "axe failed", help: String(error), nodes: [] }]));
"""


def find_axe() -> Path | None:
    """Return the file with axe-core, None where neither package is installed."""
    for package, path in _PACKAGES.items():
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / path).exists():
                return Path(folder) / path
    return None


def axe_violations(browser: Any, axe: Path) -> list[str]:
    """Return what axe-core objects to on the page, each rule and element a line; see ``find_axe``."""
    # Run by the driver, which no policy of the page holds up.
    browser.execute_script(axe.read_text())
    return [
        f"{rule['id']}: {rule['help']}: {' '.join(map(str, node['target']))}: {node['html'][:150]}"
        for rule in browser.execute_async_script(_RUN)
        for node in rule["nodes"] or [{"target": [], "html": ""}]
    ]
