"""Where things lie in a checkout, for tests in any folder."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
ALLOWED_SKIPS = TESTS / "allowed_skips.txt"
DATA_FILES = TESTS / "data_files"
SHARED_DATA = ROOT.parent / "shared" / "data"
