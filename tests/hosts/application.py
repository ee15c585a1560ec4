"""What has to be known of a released application to run it, and of a fault to make one in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: From the printed fix and the settings as they are to the settings as the fix wants them.
Mend = Callable[[str, str], str]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Lines of settings that somebody got wrong, what the doctor must say, and how its fix is followed."""

    #: What it is, in a few words: a row of the printed table.
    name: str
    #: Added to the sound settings.
    settings: str = ""
    #: The first finding: ``code:kind:subject``.
    finds: str
    #: What may be found beside it, since it follows from the same fault.
    follows: tuple[str, ...] = ()
    #: What the printed fix must hold.
    fix: str
    #: Follow the fix; None: as `following.follow` does for all.
    mend: Mend | None = None
    #: A task to send.
    sends: str | None = None
    #: The verdict until the fix is followed.
    verdict: str = "healthy"


@dataclass(frozen=True, kw_only=True)
class Application:
    """A released application over a broker, a database and a settings module of its operator's."""

    name: str
    version: str
    kind: str
    #: The package to install, with its version, and what its operator adds, as its documentation says.
    requirements: tuple[str, ...]
    #: Debian packages without which something cannot be built; for the message of a skipped test.
    headers: tuple[str, ...] = ()
    postgres: bool = False
    #: The operator's settings module, outside of the application's package.
    settings_module: str
    settings: str
    #: What the doctor's hints on the application as it was released say to paste.
    pasted: str
    #: ``{folder}``, ``{redis}`` (without a database number) and ``{postgres}`` (a port) are filled in.
    env: Mapping[str, str] = field(default_factory=dict)
    #: How its documentation calls ``manage.py``.
    manage: str
    #: Commands that make its database, run once and kept.
    prepare: tuple[str, ...]
    #: Commands of its documentation that start all it needs.
    workers: tuple[str, ...]
    #: The fewest that do, for the faults; empty: the same.
    few_workers: tuple[str, ...] = ()
    beat: str | None = None
    faults: tuple[Fault, ...]
