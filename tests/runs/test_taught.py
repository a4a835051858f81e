"""What a supervised training shows is found out before it, once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy import save_toy_model, toy_recipe

from candor.data.examples import read_examples
from candor.errors import DamagedError, Stopped
from candor.files import read_json
from candor.progress import Reporter
from candor.runs.grid import Member, claim_folder, members
from candor.runs.stages import Stages

QUIET = Reporter(quiet=True)


def probed(model: Path, out: Path) -> Member:
    overrides = ("objective={preset: probe-distilled}", "stages=[data, train]", "train.steps=2")
    (member,) = members(toy_recipe(model, *overrides, "data.validation={toy: 60}", "data.test={toy: 6}"), out)
    claim_folder(member)
    return member


def weights(adapter: Path) -> bytes:
    return (adapter / "adapter_model.safetensors").read_bytes()


def test_a_probe_of_hidden_states_is_fitted_once_before_training_and_kept(tmp_path: Path) -> None:
    model = save_toy_model(tmp_path / "model")
    whole = probed(model, tmp_path / "whole")
    Stages(whole, data_dir=None, reporter=QUIET).go()
    kept = read_json(whole.folder.hidden_probe)
    assert kept["fitted_on"] == 60
    assert 0 < kept["right"] < 1
    assert len(kept["answers"]) == len(read_examples(whole.folder.examples("train")))

    stopped = probed(model, tmp_path / "stopped")
    asked = iter(range(100))
    with pytest.raises(Stopped):
        Stages(stopped, data_dir=None, reporter=QUIET, should_stop=lambda: next(asked) == 2).go()
    assert stopped.folder.hidden_probe.read_bytes() == whole.folder.hidden_probe.read_bytes()
    shutil.copy(stopped.folder.hidden_probe, tmp_path / "copy")
    stopped.folder.hidden_probe.write_text(stopped.folder.hidden_probe.read_text() + " ")
    with pytest.raises(DamagedError, match="hidden_probe"):
        Stages(stopped, data_dir=None, reporter=QUIET).go()
    stopped.folder.hidden_probe.unlink()
    with pytest.raises(DamagedError, match=r"hidden_probe\.json is gone"):
        Stages(stopped, data_dir=None, reporter=QUIET).go()
    shutil.copy(tmp_path / "copy", stopped.folder.hidden_probe)
    Stages(stopped, data_dir=None, reporter=QUIET).go()
    assert weights(stopped.folder.adapter) == weights(whole.folder.adapter)
