"""An exported folder answers as the run does, loads without candor, and carries its figures with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCardData, metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results
from peft import PeftModel
from toy_run import CLAIMS
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from candor.cli.main import app
from candor.errors import DamagedError, ModelError, RunError
from candor.files import read_json, write_json
from candor.seals import seal_folder
from candor.verifier import Verifier
from candor.verifier.export import export_run


@pytest.fixture(scope="module")
def adapter(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(trained_run, tmp_path_factory.mktemp("export") / "adapter")


@pytest.fixture(scope="module")
def merged(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "merged"
    result = CliRunner().invoke(app, ["export", str(trained_run), "--out", str(out), "--merged"])
    assert result.exit_code == 0, result.output
    assert str(out) in result.stdout
    return out


def logits(model: object, tokenizer: object) -> torch.Tensor:
    assert callable(model)
    assert callable(tokenizer)
    ids = tokenizer("Claim: x = 3\nEvidence: [1] x is 3\nAnswer:\nLABEL=", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_both_load_without_candor_and_agree(trained_run: Path, adapter: Path, merged: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(trained_run.parent / "model")
    tokenizer = AutoTokenizer.from_pretrained(merged)
    before = logits(base, tokenizer)
    adapted = logits(PeftModel.from_pretrained(base, str(adapter)), tokenizer)
    whole = logits(AutoModelForCausalLM.from_pretrained(merged), tokenizer)
    assert torch.allclose(adapted, whole, atol=1e-4)
    assert not torch.allclose(before, whole, atol=1e-3)


@pytest.mark.parametrize("kind", ["adapter", "merged"])
def test_verdicts_are_those_of_the_run(kind: str, trained_run: Path, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    ours = Verifier.load(folder, device="cpu")
    theirs = Verifier.load(trained_run, device="cpu")
    assert ours.abstention == theirs.abstention
    assert ours.calibration is not None
    assert theirs.calibration is not None
    assert ours.calibration.traits_N_F == pytest.approx(theirs.calibration.traits_N_F, abs=1e-6)
    for mine, other in zip(ours.verify_batch(CLAIMS), theirs.verify_batch(CLAIMS), strict=True):
        assert (mine.label, mine.confidence, mine.accepted) == (other.label, other.confidence, other.accepted)
        assert mine.label_probs == pytest.approx(other.label_probs, abs=1e-4)


def test_the_card_holds_the_figures_as_the_hub_reads_them(trained_run: Path, adapter: Path) -> None:
    metadata = metadata_load(adapter / "README.md")
    assert metadata is not None
    assert metadata["library_name"] == "peft"
    name, results = model_index_to_eval_results(metadata["model-index"])
    assert name == "toy"
    (comparison,) = read_json(trained_run / "results.json")["comparisons"]
    told = {result.metric_type: result.metric_value for result in results}
    figures = comparison["metrics"]["trained"]
    assert told["accuracy"] == figures["accuracy"]["value"]
    assert told["na_recall"] == figures["na_recall"]["value"]
    assert {result.dataset_name for result in results} == {"toy"}
    ModelCardData(**{k: v for k, v in metadata.items() if k != "model-index"}, ignore_metadata_errors=False)


def test_the_card_says_how_to_use_it_and_where_it_ends(adapter: Path) -> None:
    text = (adapter / "README.md").read_text(encoding="utf-8")
    for heading in ("## Use", "## Figures", "## When to take an answer", "## Training", "## Limits"):
        assert heading in text
    assert "Claim: the claim\nEvidence: [1] its first evidence sentence [2] its second\nAnswer:\n```" in text
    recipe = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert recipe["train"]["steps"] == 2


def test_without_results_the_card_says_so(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("results.json", "checkpoints", "validation"))
    out = export_run(run, tmp_path / "out")
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "have not been compared" in text
    assert "model-index" not in (metadata_load(out / "README.md") or {})
    assert "When to take an answer" not in text
    assert Verifier.load(out, device="cpu").abstention is None


def test_an_export_takes_no_prompt_and_no_adapter_but_its_own(trained_run: Path, adapter: Path) -> None:
    for own in ({"template": "verdict"}, {"adapter": trained_run / "adapter"}, {"chat": {"system": "Be brief."}}):
        with pytest.raises(RunError, match="an export, which has its own adapter, template and chat settings"):
            Verifier.load(adapter, **own)


def test_a_folder_of_several_runs_names_them(tmp_path: Path) -> None:
    for name in ("candor-seed0", "paper-seed0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text("")
    with pytest.raises(RunError, match=r"holds several runs; choose one: .*candor-seed0, .*paper-seed0"):
        export_run(tmp_path, tmp_path / "out")


def test_what_cannot_be_exported_is_explained(trained_run: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        export_run(tmp_path, tmp_path / "out")
    with pytest.raises(RunError, match="is there already"):
        export_run(trained_run, adapter)


def test_another_wording_of_the_prompt_is_refused(trained_run: Path, tmp_path: Path) -> None:
    out = export_run(trained_run, tmp_path / "out")
    write_json(out / "candor.json", read_json(out / "candor.json") | {"template_sha256": "0" * 64})
    with pytest.raises(DamagedError, match=r"candor\.json is not what was written"):
        Verifier.load(out, device="cpu")
    seal_folder(out)
    with pytest.raises(ModelError, match="another wording"):
        Verifier.load(out, device="cpu")


def test_the_sandbox_goes_by_its_name_not_by_a_place_of_this_machine(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The toy model stands for the sandbox's, which takes a minute and a half to make.
    monkeypatch.setattr("candor.engines.load.sandbox_model", lambda reporter: trained_run.parent / "model")
    run = tmp_path / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace(f"name: {trained_run.parent / 'model'}", "name: sandbox"))
    with pytest.raises(DamagedError, match=r"recipe\.yaml is not what was written"):
        export_run(run, tmp_path / "out")
    (run / "sha256.json").unlink()
    out = export_run(run, tmp_path / "out")
    assert read_json(out / "candor.json")["base_model"] == "sandbox"
    assert read_json(out / "adapter_config.json")["base_model_name_or_path"] == "model"
    base = AutoModelForCausalLM.from_pretrained(trained_run.parent / "model")
    assert PeftModel.from_pretrained(base, str(out)).peft_config["default"].r > 0
    assert Verifier.load(out, device="cpu").verify(*CLAIMS[0]).label is not None


def test_a_card_without_a_threshold_promises_none(trained_run: Path, tmp_path: Path) -> None:
    out = export_run(trained_run, tmp_path / "out")
    rule = read_json(out / "candor.json")["abstention"]
    assert rule["choice"]["threshold"] is None
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "every answer should read: I don't know" in text
    assert "or more can be accepted" not in text


@pytest.mark.parametrize("merged", [False, True])
def test_a_damaged_export_gives_no_verdict_and_its_card_may_be_rewritten(
    trained_run: Path, tmp_path: Path, merged: bool
) -> None:
    out = export_run(trained_run, tmp_path / "out", merged=merged)
    before = Verifier.load(out, device="cpu").verify(*CLAIMS[0])
    (out / "README.md").write_text("A card of our own.")
    assert Verifier.load(out, device="cpu").verify(*CLAIMS[0]) == before
    for name in ("candor.json", "model.safetensors" if merged else "adapter_model.safetensors"):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(DamagedError, match=f"{name} is not what was written"):
            Verifier.load(out, device="cpu")
        (out / name).write_bytes(whole)
