"""Run the shop with everything it needs, and show what celery_health says of it: ``make demo``.

With ``--once`` it prints the verdict as JSON, stops the workers, prints the verdict again, and exits 0 if
both were as they should be.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from answers import Answer, get, pretty
from celery_health.text.masking import mask
from embedded import RedisNotFoundError, RedisServer, RedisStartError, free_port
from guide import Guide
from processes import Processes, Stopped, holding_signals, stop_on_signals

T = TypeVar("T")
HERE: Final = Path(__file__).resolve().parent
PYTHON: Final = sys.executable
START_SECONDS: Final = 60.0
BREAK_SECONDS: Final = 90.0
PAGES: Final = (
    ("", "status page", "staff"),
    ("health/", "the verdict", "anyone"),
    ("live/", "this web process", "anyone"),
    ("ready/", "and its broker", "anyone"),
    ("tasks/", "what runs", "staff"),
    ("stats/", "totals by task", "staff"),
    ("workers/", "who works", "staff"),
    ("queues/", "what waits", "staff"),
    ("schedule/", "what is due", "staff"),
    ("doctor/", "findings", "staff"),
    ("dead-letters/", "what failed", "staff"),
    ("metrics/", "for Prometheus", "anyone"),
)
#: Two: one that is killed is missed soon because the other still reports, and slow work holds up nobody.
WORKERS: Final = {
    "worker": ("-n", "shop@%h", "-c", "2", "-Q", "celery,emails"),
    "worker of reports": ("-n", "slow@%h", "-c", "2", "-Q", "reports"),
}
#: Celery reads these before the shop's settings (celery/app/base.py): they would name another broker.
STRAY_VARIABLES: Final = (
    "CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND",
)  # fmt: skip


class DemoError(Exception):
    """Something did not start, or did not answer as it should."""


def say(text: str = "") -> None:
    """Print progress where it does not mix with the verdict."""
    print(text, file=sys.stderr, flush=True)


def wait_until(what: str, ask: Callable[[], T | None], processes: Processes, seconds: float) -> T:
    """Return the first answer of `ask` that is not None.

    Raises:
        DemoError: `seconds` went by, or a process ended; the message has its last lines.
    """
    expires_at = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer is not None:
            return answer
        for name, status in processes.ended().items():
            raise DemoError(f"The {name} ended with status {status}:\n{processes.log(name)}")
        if time.monotonic() > expires_at:
            raise DemoError(f"{what} did not come about within {seconds:g} s.")
        time.sleep(0.1)


class Demo:
    """The shop's processes, and the questions we put to its web server."""

    def __init__(self, processes: Processes, port: int) -> None:
        self.processes = processes
        self.address = f"http://127.0.0.1:{port}"
        self.api = f"{self.address}/api/celery/"
        self._port = port

    def start(self) -> None:
        """Start the workers, beat, the web server and the customers."""
        run = self.processes
        celery = [PYTHON, "-m", "celery", "-A", "shop"]
        manage = [PYTHON, "manage.py"]
        for name, options in WORKERS.items():
            run.start(name, [*celery, "worker", *options, "-l", "INFO"])
        schedule = str(run.folder / "beat-schedule")
        run.start("beat", [*celery, "beat", "-s", schedule, "--pidfile=", "-l", "INFO"])
        self._prepare(manage)
        run.start("web server", [*manage, "runserver", "--noreload", f"127.0.0.1:{self._port}"])
        run.start("customers", [*manage, "place_orders"])

    def _prepare(self, manage: list[str]) -> None:
        done = subprocess.run(
            [*manage, "prepare_demo"],
            cwd=HERE, env=self.processes.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            reason = "\n".join(done.stderr.splitlines()[-8:])
            raise DemoError(f"The database could not be made:\n{reason}")

    def health(self) -> Answer:
        """Return what health/ answers."""
        return get(f"{self.api}health/")

    def wait_healthy(self) -> Answer:
        """Return the first healthy answer that names all workers, once beat has sent its first task."""
        seen = Answer(status=0)

        def healthy() -> Answer | None:
            nonlocal seen
            seen = self.health()
            if seen.status != 200 or not isinstance(seen.body, dict):
                return None
            alive = seen.body["workers"]["worker_count"] if seen.body.get("status") == "healthy" else 0
            return (
                seen if alive == len(WORKERS) and "Sending due task" in self.processes.log("beat") else None
            )

        try:
            return wait_until("A healthy verdict", healthy, self.processes, START_SECONDS)
        except DemoError as error:
            raise DemoError(f"{error}\nThe last answer was {seen.status}:\n{pretty(seen)}") from None

    def wait_unhealthy(self) -> Answer:
        """Return the first answer that is unhealthy, with the error and the advice that it must carry."""
        seen = Answer(status=0)

        def unhealthy() -> Answer | None:
            nonlocal seen
            seen = self.health()
            return seen if isinstance(seen.body, dict) and seen.body.get("status") == "unhealthy" else None

        try:
            answer = wait_until("An unhealthy verdict", unhealthy, self.processes, BREAK_SECONDS)
        except DemoError as error:
            raise DemoError(f"{error}\nThe last answer was {seen.status}:\n{pretty(seen)}") from None
        workers = answer.body["workers"]
        if answer.status != 503 or workers.get("error") != "No active Celery workers found":
            raise DemoError(f"Expected 503 and an error, got {answer.status}:\n{pretty(answer)}")
        if not any("celery -A" in advice for advice in answer.body["recommendations"]):
            raise DemoError(f"The verdict does not say how to start a worker:\n{pretty(answer)}")
        return answer

    def print_verdict(self) -> None:
        """Print what the command says, for people."""
        subprocess.run([PYTHON, "manage.py", "celery_health"], cwd=HERE, env=self.processes.env, check=False)

    def print_addresses(self, password: str) -> None:
        """Print the pages that there are, and how to see those for staff."""
        say()
        for path, what, who in PAGES:
            if get(f"{self.api}{path}").status not in (0, 404):
                say(f"  {self.api + path:<52} {what:<18} {who}")
        say(f"  {self.address + '/admin/':<52} log in as demo, password {password}")

    def print_guide(self) -> None:
        """Print what to try, and how to end."""
        guide = Guide(folder=self.processes.folder, cwd=HERE, python=PYTHON, env=self.processes.env)
        guide.write(STRAY_VARIABLES)
        first, options = next(iter(WORKERS.items()))
        worker = ("-A", "shop", "worker", *options)
        say(f"\n{guide.text(worker_pid=self.processes.pid(first), worker=worker)}\n\nCtrl-C ends the demo.")


@contextlib.contextmanager
def broker(processes: Processes) -> Iterator[None]:
    """Choose the broker: BROKER_URL or REDIS_URL of the environment, else a Redis of our own."""
    env = processes.env
    given = env.get("BROKER_URL") or env.get("REDIS_URL")
    if given:
        say(f"Using the broker at {mask(given)}")
        yield
        return
    with contextlib.ExitStack() as stack:
        with holding_signals():
            server = stack.enter_context(RedisServer())
            for item in (str(server.pid), str(server.folder)):
                processes.watch(item)
                stack.callback(processes.unwatch, item)
        env["REDIS_URL"] = server.url
        say(f"Started a Redis of our own on port {server.port}")
        yield


def choose_port(wanted: int | None) -> int:
    """Return `wanted`, or 8000 if it is free, or any that is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 8000))
        except OSError as error:
            if wanted:
                raise DemoError(f"Port {wanted} is taken ({error}). Choose another: --port N.") from None
            return free_port()
    return wanted or 8000


def run(options: argparse.Namespace) -> None:
    """Start everything, show what there is to see, and end everything."""
    began = time.monotonic()
    password = secrets.token_hex(4)
    env = {name: value for name, value in os.environ.items() if name not in STRAY_VARIABLES}
    env |= {"DJANGO_SETTINGS_MODULE": "shop.settings", "DEMO_PASSWORD": password, "PYTHONUNBUFFERED": "1"}
    if options.once:
        # Nobody deploys here: a worker that was stopped is missed soon.
        env["RESTART_GRACE_SECONDS"] = "3"
    with Processes(cwd=HERE, env=env) as processes, broker(processes):
        processes.env["SHOP_DATABASE"] = str(processes.folder / "shop.sqlite3")
        processes.env["SHOP_FOLDER"] = str(processes.folder)
        processes.env["CELERY_HEALTH_PROBE_DIR"] = str(processes.folder)
        demo = Demo(processes, choose_port(options.port))
        say("Starting two workers, beat, the web server and some customers ...")
        demo.start()
        verdict = demo.wait_healthy()
        say(f"All answer, {time.monotonic() - began:.1f} s after the start.\n")
        if options.once:
            show_once(demo, verdict)
        else:
            demo.print_verdict()
            demo.print_addresses(password)
            demo.print_guide()
            stay(processes)


def show_once(demo: Demo, verdict: Answer) -> None:
    """Print the verdict with workers and without one."""
    print(pretty(verdict), flush=True)
    say("\nStopping the workers ...\n")
    began = time.monotonic()
    demo.processes.stop(*WORKERS)
    broken = demo.wait_unhealthy()
    print(pretty(broken), flush=True)
    say(f"\nBoth verdicts are as expected; the second came {time.monotonic() - began:.1f} s after the stop.")


def stay(processes: Processes) -> None:
    """Wait until somebody interrupts; say when a process ends."""
    told: set[str] = set()
    while "web server" not in told:
        for name in processes.ended().keys() - told:
            say(f"The {name} has ended.")
            told.add(name)
        time.sleep(0.5)


def main() -> int:
    """Return 0 if everything went as expected or was interrupted after that, 1 if not."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="check the verdict with and without a worker")
    parser.add_argument("--port", type=int, default=None, help="of the web server (default: 8000 if free)")
    stop_on_signals()
    try:
        run(parser.parse_args())
    except (DemoError, RedisNotFoundError, RedisStartError) as error:
        say(f"\n{error}")
        return 1
    except Stopped as stopped:
        say("\nEnded; nothing is left behind.")
        return 128 + int(stopped.args[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
