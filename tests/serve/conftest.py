"""Puts the helpers beside these tests, and the browser of the report's tests, within their reach."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / "report"))
