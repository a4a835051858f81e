from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from fever_files import write_fever
from typer.testing import CliRunner, Result

from candor.cli import data
from candor.data.official.download import Fetched
from candor.data.official.files import OFFICIAL_FILES, DataPath
from candor.errors import DataError, ModelError, PromptError, RecipeError, SplitError

app = typer.Typer()
app.add_typer(data.app, name="data")
app.command("audit")(data.audit_command)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_list_says_what_is_there(shared_data: Path) -> None:
    result = run("data", "list", "--data-dir", shared_data)
    assert result.exit_code == 0
    assert "candor data fetch fever" in result.stdout
    (vitaminc,) = [line for line in result.stdout.splitlines() if "34,481" in line]
    assert all(number in vitaminc for number in ("17,306", "9,907", "7,268", "vitaminc_real.zip!"))
    assert "154 of the NA are disputed" in result.stdout
    (archive,) = [line for line in result.stdout.splitlines() if "vitaminc/vitaminc.zip" in line]
    assert "no, but vitaminc_real.zip!test.jsonl is used" in archive
    words = " ".join(result.stdout.split())
    assert "check-covid: MIT; scitab: MIT; healthver: none stated by its authors" in words
    (scifact,) = [line for line in result.stdout.splitlines() if line.startswith("│ scifact")]
    assert "github.com/allenai/scifact" in scifact


def test_list_without_a_data_folder(tmp_path: Path) -> None:
    result = run("data", "list", "--data-dir", tmp_path / "none")
    assert result.exit_code == 0
    assert "candor data fetch climatefever" in result.stdout
    assert "wiki" in result.stdout


def test_show(shared_data: Path, tmp_path: Path) -> None:
    result = run("data", "show", "climatefever", "-n", 3, "--data-dir", shared_data)
    assert result.exit_code == 0
    assert "1,535 examples (654 PASS, 253 FAIL, 628 NA)" in result.stdout
    assert all(f"\n{label}  " in result.stdout for label in ("PASS", "FAIL", "NA"))
    result = run("data", "show", "fever", "-n", 2, "--data-dir", write_fever(tmp_path))
    assert isinstance(result.exception, DataError)
    assert "shared_task_dev.jsonl" in str(result.exception)


def test_show_prints_markup_as_it_is(tmp_path: Path) -> None:
    row = {"claim": "[red]Danger[/red] [/]", "evidence": "[bold]x", "label": "NA"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    result = run("data", "show", tmp_path / "mine.jsonl")
    assert "[red]Danger[/red] [/]" in result.stdout
    assert "[bold]x" in result.stdout


def test_audit_prints_and_writes_figures(shared_data: Path, tmp_path: Path) -> None:
    published = shared_data / "published" / "fever_base_results.json.gz"
    result = run("audit", published, "--json", tmp_path / "audit.json")
    assert result.exit_code == 0
    assert "99.4%  (98.7% - 99.7%)" in result.stdout
    assert "! fever_base_results: the rule" in result.stdout
    figures = json.loads((tmp_path / "audit.json").read_text())
    assert figures["datasets"]["fever_base_results"]["labels"] == {"PASS": 250, "FAIL": 250, "NA": 500}


def test_audit_of_a_table_and_of_bad_input(tmp_path: Path) -> None:
    rows = "".join(f"Claim {n},Evidence {n},{('yes', 'PASS', 'NA')[n % 3]}\n" for n in range(60))
    (tmp_path / "mine.csv").write_text("claim,evidence,label\n" + rows)
    result = run("audit", tmp_path / "mine.csv")
    assert isinstance(result.exception, DataError)
    assert "mine.csv:2: 'label' is 'yes', which can mean two things" in str(result.exception)
    assert 'labels: {"yes": PASS} in a recipe, --label "yes=PASS" on the command line' in str(result.exception)
    skipping = run("audit", tmp_path / "mine.csv", "--skip-bad-rows")
    assert skipping.exit_code == 0
    assert f"mine: 20 bad rows are left out, first: {tmp_path / 'mine.csv'}:2: 'label' is 'yes'" in skipping.stderr
    assert "20 bad rows are left out" in run("data", "show", tmp_path / "mine.csv", "--skip-bad-rows").stdout
    assert "no such recipe" in str(run("audit", tmp_path / "none").exception)
    assert "-o changes a recipe" in str(run("audit", tmp_path / "mine.csv", "-o", "a=b").exception)


def test_a_tables_columns_and_labels_are_told_on_the_command_line(tmp_path: Path) -> None:
    rows = "".join(f"Claim {n},Evidence {n},{('yes', 'no', '0')[n % 3]},{n % 4}\n" for n in range(60))
    (tmp_path / "mine.csv").write_text("text,source,verdict,topic\n" + rows)
    maps = ["--column", "claim=text", "--column", "evidence=source", "--column", "label=verdict"]
    maps += ["--column", "group=topic", "--label", "yes=PASS", "--label", "no=FAIL", "--label", "0=NA"]
    result = run("audit", tmp_path / "mine.csv", *maps)
    assert result.exit_code == 0, result.exception
    assert "mine: 60 examples (20 PASS, 20 FAIL, 20 NA), 4 groups" in result.stdout
    assert "PASS  Claim 0" in run("data", "show", tmp_path / "mine.csv", *maps).stdout
    assert "there is no such file" in str(run("data", "show", "climatefever", *maps).exception)
    unmapped = run("audit", tmp_path / "mine.csv", *maps[:8])
    assert "--label" in str(unmapped.exception)
    assert "are for tables, and this is none" in str(run("audit", tmp_path, *maps).exception)
    (tmp_path / "mine.yaml").write_text("name: x\n")
    assert "a recipe says columns: and labels: itself" in str(run("audit", tmp_path / "mine.yaml", *maps).exception)


def test_groups_of_a_plain_table_are_told(tmp_path: Path) -> None:
    rows = "".join(f"{n},Claim {n},Evidence {n},{('PASS', 'FAIL', 'NA')[n % 3]},{n % 4}\n" for n in range(40))
    (tmp_path / "mine.csv").write_text("id,claim,evidence,label,group\n" + rows)
    assert "mine: 40 examples (14 PASS, 13 FAIL, 13 NA), 4 groups" in run("audit", tmp_path / "mine.csv").stdout


def test_audit_of_a_run(tmp_path: Path) -> None:
    example = {"id": "1", "dataset": "d", "claim": "C", "evidence": ["E"], "label": "NA", "group": "g"}
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}.jsonl").write_text(json.dumps(example) + "\n")
    result = run("audit", tmp_path)
    assert result.exit_code == 0
    assert "1 of 1 examples of test share their claim with train" in result.stdout


CLAIMS = "claim,evidence,label\n" + "".join(
    f"Claim {n},{'Evidence ' * (30 if n % 10 == 0 else 1)},{('PASS', 'FAIL', 'NA')[n % 3]}\n" for n in range(60)
)


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    (tmp_path / "mine.csv").write_text(CLAIMS)
    return tmp_path / "mine.csv"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    from toy import byte_tokenizer

    byte_tokenizer().save_pretrained(str(tmp_path / "bytes"))
    return tmp_path / "bytes"


def table_recipe(folder: Path, data: Path, model: str, **values: object) -> Path:
    recipe = {
        "name": "mine",
        "model": {"name": model},
        "prompt": {"template": "sandbox"},
        "data": {
            "sources": {"mine": {"kind": "table", "path": str(data)}},
            "train": {"mine": 30},
            "test": {"mine": 30},
        },
        **values,
    }
    (folder / "mine.yaml").write_text(json.dumps(recipe))
    return folder / "mine.yaml"


def test_audit_of_bare_data_says_how_to_get_tokens(claims: Path, tmp_path: Path) -> None:
    result = run("audit", claims, "--json", tmp_path / "audit.json")
    assert result.exit_code == 0
    assert "Lengths are told in words; --model NAME or FOLDER tells them in tokens" in result.stdout
    assert "claim and evidence: median 3, 95 % 32, longest 32 words" in result.stdout
    figures = json.loads((tmp_path / "audit.json").read_text())
    assert figures["prompt"] == {"model": None, "unknown": "no model is named"}
    assert figures["datasets"]["mine"]["words"]["max"] == 32
    assert "give --model" in str(run("audit", claims, "--max-length", 100).exception)
    assert "give --model" in str(run("audit", claims, "--template", "verdict").exception)


def test_audit_of_bare_data_in_tokens(claims: Path, tokenizer: Path, tmp_path: Path) -> None:
    options = ("--model", tokenizer, "--template", "sandbox")
    result = run("audit", claims, *options, "--max-length", 200, "--json", tmp_path / "audit.json")
    assert result.exit_code == 0, result.exception
    assert f"(tokenizer of {tokenizer}, template sandbox); 168 fit (200 less 32 for the answer)" in result.stdout
    assert "; longer: 6, evidence sentences cut: 6, too long even without evidence: 0" in result.stdout
    assert "6 of 60 prompts are longer than 168 tokens" in result.stdout
    figures = json.loads((tmp_path / "audit.json").read_text())
    assert figures["datasets"]["mine"]["prompt_tokens"]["sentences_cut"] == 6
    assert figures["prompt"]["template"] == "sandbox"
    assert "none is cut" in run("audit", claims, *options, "--max-length", 2000).stdout
    assert "give --max-length" in run("audit", claims, *options).stdout
    assert isinstance(run("audit", claims, "--model", tmp_path).exception, ModelError)
    assert isinstance(run("audit", claims, *options[:2], "--template", "none").exception, PromptError)


def test_audit_of_a_recipe_in_tokens(claims: Path, tokenizer: Path, tmp_path: Path) -> None:
    recipe = table_recipe(tmp_path, claims, str(tokenizer))
    result = run("audit", recipe, "-o", "model.max_length=200", "-o", "evaluation.max_new_tokens=40")
    assert result.exit_code == 0, result.exception
    assert "160 fit (200 less 40 for the answer)" in result.stdout
    assert "longer than 160 tokens; evidence sentences at their ends would be cut, 6 in all" in result.stdout
    assert "568 fit (600 less 32 for the answer), none is cut" in run("audit", recipe, "--max-length", 600).stdout


def test_audit_of_a_recipe_says_what_shrank_and_what_was_left_out(
    claims: Path, tokenizer: Path, tmp_path: Path
) -> None:
    claims.write_text(CLAIMS + "No label,E,\n")
    recipe = table_recipe(tmp_path, claims, str(tokenizer))
    options = ("-o", "data.test.mine=50", "-o", "data.on_shortage=shrink", "-o", "data.on_bad_row=skip")
    result = run("audit", recipe, *options)
    assert result.exit_code == 0, result.exception
    assert "mine shrinks to what there is: train 23 of 30 examples; test 37 of 50 examples. What" in result.stderr
    assert "mine: 1 bad row is left out, first:" in result.stderr
    assert "mine.csv:62: 'label' is empty" in result.stderr


def test_audit_refuses_an_empty_split(claims: Path, tokenizer: Path, tmp_path: Path) -> None:
    recipe = table_recipe(tmp_path, claims, str(tokenizer))
    result = run("audit", recipe, "-o", "data.train.mine=60", "-o", "data.on_shortage=in_order")
    assert isinstance(result.exception, SplitError)
    assert "test.mine is empty: it asks for 30 examples and nothing is left for it" in str(result.exception)
    result = run("audit", recipe, "-o", "data.test={mine: 0}")
    assert isinstance(result.exception, RecipeError)
    assert "data.test: the stage compare works on test examples" in str(result.exception)


def test_skipping_bad_rows_works_for_recipes_too(claims: Path, tokenizer: Path, tmp_path: Path) -> None:
    claims.write_text(CLAIMS + "No label,E,\n")
    recipe = table_recipe(tmp_path, claims, str(tokenizer))
    assert isinstance(run("audit", recipe).exception, DataError)
    assert "1 bad row is left out" in run("audit", recipe, "--skip-bad-rows").stderr


def test_audit_of_a_recipe_whose_tokenizer_is_not_here(
    claims: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candor.runs.prompt_lengths.hub_trouble", lambda: "ConnectionError")
    recipe = table_recipe(tmp_path, claims, "nobody/nothing")
    result = run("audit", recipe, "--json", tmp_path / "audit.json")
    assert result.exit_code == 0, result.exception
    assert "majority_label" in result.stdout
    assert "words" in result.stdout
    assert "! prompt lengths in tokens are not known, nor what would be cut: model.name: no tokenizer" in result.stdout
    figures = json.loads((tmp_path / "audit.json").read_text())
    assert figures["prompt"]["model"] == "nobody/nothing"
    assert "ConnectionError" in figures["prompt"]["unknown"]
    named = run("audit", recipe, "--model", tokenizer, "--max-length", 600)
    assert "568 fit" in named.stdout
    assert isinstance(run("audit", recipe, "--model", "nobody/else").exception, ModelError)


def test_audit_of_a_run_uses_its_recipe(claims: Path, tokenizer: Path, tmp_path: Path) -> None:
    example = {"id": "1", "dataset": "mine", "claim": "C", "evidence": ["E"], "label": "NA", "group": "g"}
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "data" / "test.jsonl").write_text(json.dumps(example) + "\n")
    table_recipe(tmp_path, claims, str(tokenizer), stages=["data", "base"]).rename(tmp_path / "run" / "recipe.yaml")
    result = run("audit", tmp_path / "run", "--max-length", 600)
    assert "568 fit (600 less 32 for the answer), none is cut" in result.stdout


def test_audit_says_which_arms_it_leaves_out(claims: Path, tokenizer: Path, tmp_path: Path) -> None:
    arms = {"one": {"prompt": {"template": "verdict"}}, "two": {"train": {"steps": 3}}}
    result = run("audit", table_recipe(tmp_path, claims, str(tokenizer), arms=arms))
    assert "arm one has prompt of its own" in result.stderr
    assert "arm two" not in result.stderr


def test_fetch_says_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = [Fetched(OFFICIAL_FILES[4], DataPath(tmp_path / "climate-fever.jsonl"), new) for new in (True, False)]
    monkeypatch.setattr(data, "fetch_files", lambda dataset, folder: done)
    result = run("data", "fetch", "climatefever", "--data-dir", tmp_path)
    assert "climatefever/climate-fever.jsonl: fetched, SHA-256 as published" in result.stdout
    assert "already there" in result.stdout
