"""docs/study-hosted.md from the plan to the export, on a real server: each line as it is written, at small size."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import DOCS
from running_server import RunningServer, why_no_server
from typer.testing import CliRunner

from candor.cli.main import app
from candor.recipe.recipe import find_recipe
from candor.run_folder import RunFolder

if _reason := why_no_server():
    pytest.skip(_reason, allow_module_level=True)


def _small(server: RunningServer) -> dict[str, Any]:
    """The published recipe for a service, but for its size, and a model and claims that this server can be asked."""
    values: dict[str, Any] = yaml.safe_load(find_recipe("paper-fever-service").read_text())
    values["model"] = {"name": str(server.model), "lora": {"rank": 4, "alpha": 32}}
    values["engine"]["base_url"] = server.url
    values["prompt"]["template"] = "sandbox"
    values["data"]["sources"] = {"fever": {"kind": "sandbox", "domain": "wiki"}}
    values["data"] |= {"train": {"fever": 3}, "test": {"fever": 3}}
    values["train"] |= {"steps": 1, "prompts_per_step": 2}
    values["sampling"] |= {"group_size": 2, "max_new_tokens": 12}
    values["evaluation"] = {"max_new_tokens": 12, "resamples": 2000}
    return values


def test_the_page_from_the_plan_to_the_export(
    tinker_server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paper-fever-service").write_text(yaml.safe_dump(_small(tinker_server)))
    text = (DOCS / "study-hosted.md").read_text(encoding="utf-8")
    told = []
    for line in "".join(re.findall(r"^```sh\n(.*?)^```$", text, flags=re.M | re.S)).splitlines():
        words = shlex.split(line.replace("http://127.0.0.1:8000", tinker_server.url))
        if words[0] == "export":
            name, value = words[1].split("=")
            monkeypatch.setenv(name, value)
        elif words[:3] != ["candor", "data", "fetch"]:
            # Prompt and length are the small recipe's in every line; and this server tells no likely tokens.
            kept = [] if words[1] != "run" else ["-o", "prompt.template=sandbox", "-o", "sampling.max_new_tokens=12"]
            asked = [word for word in words[1:] if word != "engine.top_logprobs=20"]
            if len(asked) < len(words) - 1:
                asked[-2:-1] = []  # and the -o in front of it
            done = CliRunner().invoke(app, [*asked, *kept])
            assert done.exit_code == 0, f"{line}: {done.output}{done.exception}"
            told.append(done.output)
    assert "USD" in told[0]
    for name in ("fever-service", "fever-server", "candor-service"):
        assert RunFolder(Path("runs") / name).results.is_file()
    assert Path("fever-adapter/adapter_config.json").is_file()
