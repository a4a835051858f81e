"""Pictures of a page at three widths, light and dark: ``python screenshots.py report.html docs/images/demo``.

Writes ``<prefix>-<width>-<light or dark>.png`` of the page's top, or of a section given by its id as third argument.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chromium import executable, new_tab

WIDTHS = {390: 844, 820: 1180, 1440: 1000}
"""Width to height, in CSS pixels: a phone, a tablet, a desktop."""


def main(html: str, prefix: str, section: str = "") -> None:
    """Take all six pictures."""
    binary = executable()
    if binary is None:
        raise SystemExit("no Chromium is installed")
    with new_tab(binary) as tab:
        for dark in (False, True):
            for width, height in WIDTHS.items():
                page = tab.open(Path(html), width=width, height=height, dark=dark)
                if section:
                    page.evaluate(
                        "(id) => { document.documentElement.style.scrollBehavior = 'auto'; location.hash = id }",
                        section,
                    )
                page.screenshot(path=f"{prefix}-{width}-{'dark' if dark else 'light'}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
