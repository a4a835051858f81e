"""A real headless browser for tests: the machine's own Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FLAGS = ("--disable-gpu", "--disable-quic", "--disable-sync", "--disable-background-networking")

TIMEOUT_MS = 60_000


def executable() -> str | None:
    """Path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Tab:
    """One tab: ``requests`` are the addresses it asked for, ``messages`` what it logged (errors, blocked content)."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def open(self, place: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        """Load a file, or an address, and wait until it is ready; what was noted of the page before is forgotten."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.page.goto("about:blank")
        self.requests.clear()
        self.messages.clear()
        self.page.goto(place if isinstance(place, str) else place.resolve().as_uri(), wait_until="load")
        return self.page


@contextlib.contextmanager
def new_tab(binary: str) -> Iterator[Tab]:
    """A tab of a browser that runs while the block does."""
    with sync_playwright() as driver:
        # Without its own sandbox, as root in a container cannot have one.
        browser = driver.chromium.launch(executable_path=binary, args=list(FLAGS), chromium_sandbox=False)
        try:
            page = browser.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            tab = Tab(page)
            page.on("request", lambda request: tab.requests.append(request.url))
            page.on("console", lambda message: tab.messages.append(message.text))
            page.on("pageerror", lambda error: tab.messages.append(str(error)))
            yield tab
        finally:
            browser.close()
