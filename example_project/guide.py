"""What to try while the demo runs: commands for a second terminal, each of which works as it stands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from celery_health.text.masking import mask

#: What a process of the shop must be told that its settings do not know.
_VARIABLES: Final = (
    "DJANGO_SETTINGS_MODULE", "BROKER_URL", "REDIS_URL", "SHOP_FOLDER", "SHOP_DATABASE",
    "CELERY_HEALTH_PROBE_DIR", "RESTART_GRACE_SECONDS",
)  # fmt: skip
#: Enough to ask: the rest is for those who do the shop's work.
_TO_ASK: Final = ("BROKER_URL", "REDIS_URL")


class Guide:
    """The commands of one demo: its broker, its folder and its Python are in them."""

    def __init__(self, *, folder: Path, cwd: Path, python: str, env: Mapping[str, str]) -> None:
        self._launcher = folder / "shop"
        self._cwd = cwd
        self._python = Path(python)
        self._env = env

    def write(self, stray: Sequence[str]) -> None:
        """Write the program that runs a command as the demo's processes run, without variables `stray`."""
        lines = [
            "#!/bin/sh",
            f"unset {' '.join(stray)}",
            *(f"export {name}={value}" for name, value in self._assignments(_VARIABLES)),
            f'export PATH={shlex.quote(str(self._python.parent))}:"$PATH"',
            f"cd {shlex.quote(str(self._cwd))} || exit",
            'exec "$@"',
        ]
        # A broker's URL may hold a password.
        self._launcher.touch(mode=0o700)
        self._launcher.write_text("\n".join(lines) + "\n")

    def text(self, *, worker_pid: int, worker: Sequence[str]) -> str:
        """Return what to try; `worker` are the words that follow ``celery`` to start that worker again."""
        letters = ("celery_health", "dead-letters")
        steps = [
            (
                ["Ask how it is, once or all the time:"],
                [self.manage("celery_health"), self.manage("celery_health", "--watch")],
            ),
            (
                [
                    "Kill a worker. It is missed within 10 seconds; after a minute its queues are a fault.",
                    "Then start it again (it ends with its terminal):",
                ],
                [f"kill -9 {worker_pid}", self._shop("celery", *worker)],
            ),
            (
                ["Break the payment service. Payments fail within a minute, and are kept as dead letters:"],
                [self.manage("payments", "down"), self.manage(*letters, "list", "celery")],
            ),
            (
                ["Put it right, and send them again, here or on the status page:"],
                [self.manage("payments", "up"), self.manage(*letters, "requeue", "celery")],
            ),
            (
                ["Flood a queue. Too many mails wait, for a minute:"],
                [self.manage("send_newsletter")],
            ),
        ]
        lines = ["Try, in a second terminal; each line works as it stands:"]
        for told, commands in steps:
            lines += ["", *(f"  {line}" for line in told), *(f"    {command}" for command in commands)]
        return "\n".join(lines + self._by_hand())

    def manage(self, *words: str) -> str:
        """Return the line that runs ``manage.py``, from any folder."""
        return self._shop("python", "manage.py", *words)

    def _shop(self, *words: str) -> str:
        return shlex.join(["sh", str(self._launcher), *words])

    def _by_hand(self) -> list[str]:
        """Return the first command without the program, unless it would show a password."""
        if any(mask(self._env.get(name, "")) != self._env.get(name, "") for name in _TO_ASK):
            return []
        variables = " ".join(f"{name}={value}" for name, value in self._assignments(_TO_ASK))
        command = shlex.join([str(self._python), str(self._cwd / "manage.py"), "celery_health"])
        return ["", "  Or the first one by hand:", f"    {variables} {command}"]

    def _assignments(self, names: Sequence[str]) -> list[tuple[str, str]]:
        return [(name, shlex.quote(self._env[name])) for name in names if self._env.get(name)]
