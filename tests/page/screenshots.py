"""``python tests/page/screenshots.py [NAME ...]``: pictures of the pages, for ``docs/screenshots/``.

The systems are real: workers, a beat, a web server, a browser. Two things are made up, since nobody waits an
hour for a picture, and no picture should show on whose machine it was taken: what ended in the minutes before
the start, and what stands for this machine's paths, host and ports.
"""

from __future__ import annotations

import base64
import contextlib
import math
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "example_project")]

import redis  # noqa: E402

from celery_health.store.keys import Keys  # noqa: E402
from tests.page.browser import DESKTOP, PHONE, SCHEMES, look_with, open_browser  # noqa: E402
from tests.page.shop import PAGE, Shop  # noqa: E402
from tests.support import RabbitServer, eventually, find_rabbitmq_server  # noqa: E402

FOLDER: Final = ROOT / "docs" / "screenshots"
MAX_BYTES: Final = 150_000
#: What is below is cut off, in pixels.
MAX_HEIGHT: Final = 2000
patiently = partial(eventually, timeout=120.0, interval=0.5)

#: A minute without a consumer is long for whoever waits for a picture.
SETTINGS: Final = """
    CELERY_HEALTH["LIMITS"] |= {"unconsumed_seconds": 5}
"""
#: Task → runs a minute that succeeded, asked for a retry and failed, and as what.
USUAL: Final[dict[str, tuple[int, int, dict[str, int]]]] = {
    "orders.tasks.reserve_stock": (30, 0, {}),
    "orders.tasks.charge_card": (30, 6, {}),
    "orders.tasks.send_confirmation": (26, 0, {"AddressUnknown": 3, "MailboxFull": 1}),
    "orders.tasks.build_invoice": (13, 0, {}),
    "orders.tasks.release_expired_baskets": (12, 0, {}),
    "orders.tasks.refresh_prices": (1, 0, {}),
}
#: The same while the bank is broken: it has been, half an hour ago.
BROKEN: Final = USUAL | {
    "orders.tasks.charge_card": (4, 72, {"PaymentGatewayDown": 17, "PaymentGatewayTimeout": 9})
}
_REPLACE: Final = """
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode())
        for (const [own, neutral] of arguments[0])
            walker.currentNode.nodeValue = walker.currentNode.nodeValue.replaceAll(own, neutral);
    return document.documentElement.scrollHeight;
"""


class Camera:
    """A browser that is logged in to one shop, and takes its pictures."""

    def __init__(self, browser: Any, shop: Shop, wanted: Sequence[str]) -> None:
        self._browser = browser
        self._wanted = wanted
        assert shop.web is not None
        self._site = shop.web.url
        own = [
            (str(ROOT / "example_project"), "/srv/shop"),
            (sys.prefix, "/srv/venv"),
            (sys.base_prefix, "/usr"),
            (str(ROOT), "/srv"),
            (f"@{socket.gethostname()}", "@web-1"),
            (shop.broker_url.rpartition("@")[2], "broker.example.com"),
            # The variant that tests make of its settings: a project has its own, and need not name them.
            (f"DJANGO_SETTINGS_MODULE={shop.web.env['DJANGO_SETTINGS_MODULE']} ", ""),
        ]
        self._neutral = [(text, neutral) for text, neutral in own if text]
        shop.open(browser)

    def wants(self, name: str) -> bool:
        """Say whether somebody asked for this picture."""
        return not self._wanted or any(part in name for part in self._wanted)

    def take(self, name: str, path: str = "", status: str | None = None) -> None:
        """Take a page on both screens in both schemes, once its verdict is `status`."""
        if not self.wants(name):
            return
        for screen in (DESKTOP, PHONE):
            for scheme in SCHEMES:
                look_with(self._browser, screen, scheme)
                patiently(lambda: self._shows(path, status), what=f"{path or 'the overview'} is {status}")
                height = int(self._browser.execute_script(_REPLACE, self._neutral))
                picture = self._picture(screen.width, min(height, MAX_HEIGHT))
                file = FOLDER / f"{name}-{screen.width}-{scheme}.webp"
                file.write_bytes(picture)
                print(f"{file.relative_to(ROOT)}: {len(picture) / 1000:.0f} kB", flush=True)

    def _shows(self, path: str, status: str | None) -> bool:
        self._browser.get(f"{self._site}{PAGE}{path}")
        # Its script has begun: what it adds is part of the picture, and what it greys is not.
        eventually(lambda: self._ask("return document.body.classList.contains('was-live')"), 20)
        # What the doctor says comes by itself.
        shown = "return document.body.innerText"
        eventually(lambda: "findings are on a page of their own" not in self._ask(shown), 60)
        return status is None or status == self._ask("return document.querySelector('main').dataset.status")

    def _ask(self, script: str) -> Any:
        return self._browser.execute_script(script)

    def _picture(self, width: int, height: int) -> bytes:
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        for quality in (80, 70, 60, 40):
            wanted = {"format": "webp", "quality": quality, "clip": clip, "captureBeyondViewport": True}
            taken = self._browser.execute_cdp_cmd("Page.captureScreenshot", wanted)
            picture = base64.b64decode(taken["data"])
            if len(picture) <= MAX_BYTES:
                return picture
        raise AssertionError(f"A picture of {width} x {height} is larger than {MAX_BYTES} bytes.")


def write_last_hour(shop: Shop) -> None:
    """Have the store count since two hours ago, and write what ended in each minute before this one."""
    keys = Keys("celery_health:shop:")
    with redis.Redis.from_url(shop.broker_url) as client:
        present = int(time.time() // 60)
        client.hset(keys.totals, mapping={"epoch": (present - 120) * 60_000_000, "version": 0})
        broken = range(present - 34, present - 25)
        for minute in range(present - 60, present):
            # More now than half an hour ago, and a little up and down.
            share = 0.8 + 0.3 * math.cos((present - minute) / 10) + 0.05 * (minute * 7 % 5 - 2)
            ends, named = {}, {}
            for task, (succeeded, retried, exceptions) in (BROKEN if minute in broken else USUAL).items():
                failures = {name: round(usual * share) for name, usual in exceptions.items()}
                ends[f"{task}\x1fsucceeded"] = round(succeeded * share)
                ends[f"{task}\x1fretried"] = round(retried * share)
                ends[f"{task}\x1ffailed"] = sum(failures.values())
                named |= {f"{task}\x1f{name}": count for name, count in failures.items()}
            for key, counts in ((keys.ring, ends), (keys.exceptions, named)):
                client.hset(
                    f"{key}{minute}", mapping={field: count for field, count in counts.items() if count}
                )


def take_shop(browser: Any, wanted: Sequence[str]) -> None:
    """Take the shop: well, with failing payments, with a flooded queue, and without a worker."""
    with tempfile.TemporaryDirectory() as folder, Shop(Path(folder), settings=SETTINGS) as shop:
        write_last_hour(shop)
        mailing = shop.start_worker("shop@web-1")
        shop.start_worker("slow@web-2")
        shop.start_beat()
        shop.start_web()
        customers = shop.start_customers(1)
        camera = Camera(browser, shop, wanted)
        # Some runs of each: what the workers measured belongs to the picture.
        patiently(
            lambda: "send_confirmation" in shop.manage("celery_health", "dead-letters", "list", "emails")
        )
        camera.take("overview-healthy", status="healthy")

        shop.manage("payments", "down")
        patiently(lambda: len(dead_letters(shop, "celery")) >= 12)
        camera.take("overview-degraded", status="degraded")
        camera.take("task-failing", "page/tasks/?name=orders.tasks.charge_card", "degraded")
        letter = dead_letters(shop, "celery")[-1]
        camera.take("dead-letter", f"page/dead-letters/?queue=celery&id={letter}")

        shop.manage("payments", "up")
        shop.manage("send_newsletter", "6000")
        camera.take("queue-backlog", "page/queues/?name=emails", "degraded")

        mailing.kill()
        camera.take("overview-unhealthy", status="unhealthy")
        customers.close()


def dead_letters(shop: Shop, queue: str) -> list[str]:
    """Return the ids of the newest dead letters of a queue, the oldest first."""
    import json

    answer = shop.manage("celery_health", "dead-letters", "list", queue, "--json", "--limit", "100")
    return [letter["id"] for letter in json.loads(answer)["letters"]]


def take_without_store(browser: Any, wanted: Sequence[str]) -> None:
    """Take the shop on RabbitMQ alone, where nothing is kept."""
    with contextlib.ExitStack() as stack:
        server = RabbitServer(shared=True)
        stack.callback(server.close)
        server.start()
        server.add_vhost("shop")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shop = stack.enter_context(Shop(folder, broker_url=server.url("shop"), settings=SETTINGS))
        shop.start_worker("shop@web-1")
        shop.start_worker("slow@web-2")
        shop.start_beat()
        shop.start_web()
        shop.manage("place_orders", "--count", "12", "--every", "0")
        Camera(browser, shop, wanted).take("overview-no-store", status="healthy")


def main(wanted: Sequence[str]) -> int:
    """Take all pictures, or those whose names contain one of `wanted`."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        browser = open_browser(Path(home))
        try:
            if not wanted or any("no-store" not in name for name in wanted):
                take_shop(browser, wanted)
            if find_rabbitmq_server() is None:
                print("overview-no-store needs rabbitmq-server, which is not installed.", file=sys.stderr)
            elif not wanted or any(name in "overview-no-store" for name in wanted):
                take_without_store(browser, wanted)
        finally:
            browser.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
