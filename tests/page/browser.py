"""A real Chromium, and what tests and pictures ask of it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

#: Runs before anything of a page does, and whatever its policy says: it hears what the policy forbids.
_LISTEN: Final = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
        event.effectiveDirective + " " + event.blockedURI + " " + event.sourceFile + ":" + event.lineNumber));
"""


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What a page is looked at with."""

    width: int
    """In CSS pixels."""
    height: int = 900
    is_phone: bool = False


DESKTOP: Final = Screen(width=1280)
PHONE: Final = Screen(width=390, height=844, is_phone=True)
SMALL_PHONE: Final = Screen(width=360, height=640, is_phone=True)
SCHEMES: Final = ("light", "dark")


def find_browser() -> tuple[str, str] | None:
    """Return Chromium and its driver, None where one is missing."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


def open_browser(home: Path) -> Any:
    """Return a headless Chromium whose files are in `home`; `quit()` ends it.

    Raises:
        RuntimeError: Chromium or its driver is not installed.
    """
    found = find_browser()
    if found is None:
        raise RuntimeError("chromium and chromedriver are not installed (Debian: chromium chromium-driver).")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(
        options=options, service=Service(found[1], env={**os.environ, "HOME": str(home)})
    )
    browser.set_page_load_timeout(60)
    browser.set_script_timeout(60)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _LISTEN})
    look_with(browser, DESKTOP)
    return browser


def look_with(browser: Any, screen: Screen = DESKTOP, scheme: str = "light") -> None:
    """Look with another screen, or in another colour scheme, from now on."""
    metrics = {
        "width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": screen.is_phone,
    }  # fmt: skip
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": screen.is_phone})
    # Without motion: in the middle of a change of colours, a contrast is nobody's.
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": name, "value": value} for name, value in features.items()]},
    )


def run_scripts(browser: Any, allowed: bool) -> None:
    """Let pages run their scripts, or none, from the next one on."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not allowed})


def text(browser: Any, selector: str) -> str:
    """Return what is seen of the first element that matches; empty without one."""
    # In one step: the page replaces its elements while it is looked at.
    script = """
        const found = document.querySelector(arguments[0]);
        return found !== null && found.checkVisibility() ? found.innerText : "";
    """
    return str(browser.execute_script(script, selector))


def policy_violations(browser: Any) -> list[str]:
    """Return what a Content-Security-Policy forbade on this page, and in the log since it was asked last."""
    heard = browser.execute_script("return window.violations")
    logged = [entry["message"] for entry in browser.get_log("browser")]
    return [*heard, *(line for line in logged if "Content Security Policy" in line)]


def hosts_asked(browser: Any) -> set[str]:
    """Return every host that was asked for something since this was called last."""
    hosts = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = urlsplit(message["params"]["request"]["url"])
            if address.scheme not in ("data", "blob", "about", "chrome"):
                hosts.add(address.netloc)
    return hosts


def log_in(browser: Any, site: str, then: str, user: str, password: str) -> None:
    """Log in at the admin of `site`, and go on to the path `then`."""
    from selenium.webdriver.common.by import By

    browser.get(f"{site}/admin/login/?next={then}")
    browser.find_element(By.NAME, "username").send_keys(user)
    browser.find_element(By.NAME, "password").send_keys(password)
    browser.find_element(By.CSS_SELECTOR, "form [type=submit]").click()
