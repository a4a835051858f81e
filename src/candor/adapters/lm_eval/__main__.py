"""Print the folder of task files."""

from __future__ import annotations

from candor.adapters.lm_eval import include_path

print(include_path())
