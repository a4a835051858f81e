"""Pictures of a page at three widths, light and dark: ``python screenshots.py report.html docs/images/demo``.

Writes ``<prefix>-<width>-<light or dark>.png`` of the page's top, or of a section given by its id as third argument.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from chromium import Page, executable

WIDTHS = {390: 844, 820: 1180, 1440: 1000}
"""Width to height, in CSS pixels: a phone, a tablet, a desktop."""


def main(html: str, prefix: str, section: str = "") -> None:
    """Take all six pictures."""
    binary = executable()
    if binary is None:
        raise SystemExit("no Chromium is installed")
    with Page(binary) as page:
        for dark in (False, True):
            for width, height in WIDTHS.items():
                page.open(Path(html), width=width, height=height, dark=dark)
                if section:
                    page.run(f"document.documentElement.style.scrollBehavior = 'auto', location.hash = {section!r}")
                shot = page.call("Page.captureScreenshot", format="png")
                out = Path(f"{prefix}-{width}-{'dark' if dark else 'light'}.png")
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
