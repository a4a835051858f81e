from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from candor.cli.main import app
from candor.data.splits import make_splits
from candor.errors import DataError
from candor.recipe.data import TableSource
from candor.recipe.recipe import load_recipe

LABELS = ("true", "false", "nei")


def init(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def claims(folder: Path, rows: int = 600, name: str = "my claims.csv") -> Path:
    path = folder / name
    body = [f"Statement {n},Context of {n},{LABELS[n % 3]}" for n in range(rows)]
    path.write_text("\n".join(["statement,context,verdict", *body]) + "\n")
    return path


def test_the_recipe_of_a_table_is_read_and_gives_all_splits(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    result = init(claims(tmp_path), "--out", out)
    assert result.exit_code == 0, result.exception
    assert f"next: candor audit {out}, then candor run {out}" in result.stdout
    recipe = load_recipe(out)
    assert recipe.name == "my-claims"
    assert recipe.model.name == "Qwen/Qwen3-0.6B"
    splits = make_splits(recipe.data)
    labels = {split: note["my-claims"]["labels"] for split, note in splits.notes["splits"].items() if note}
    assert labels == {
        "train": {"PASS": 120, "FAIL": 120, "NA": 120},
        "validation": {"PASS": 20, "FAIL": 20, "NA": 20},
        "test": {"PASS": 60, "FAIL": 60, "NA": 60},
    }
    assert splits.notes["shortages"] == []
    text = out.read_text()
    assert '"true": PASS   # a guess' in text
    assert "columns: {claim: statement, evidence: context, label: verdict}" in text
    assert "60 PASS tell a share to within 13 points" in text
    assert "# warm_start:" in text


def test_what_the_recipe_says_in_comments_can_be_taken_up(tmp_path: Path) -> None:
    text = init(claims(tmp_path)).stdout
    taken = text.replace(
        "# warm_start: {train: {steps: 20, prompts_per_step: 16}}, with claims of its own under data:",
        "warm_start: {train: {steps: 20, prompts_per_step: 16}}",
    )
    taken = taken.replace("#   warm_start: {my-claims: 60}\n", "")
    taken = taken.replace("  on_shortage", "  warm_start: {my-claims: 60}\n  on_shortage")
    path = tmp_path / "taken.yaml"
    path.write_text(taken)
    assert len(make_splits(load_recipe(path).data).warm_start["my-claims"]) > 30


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("precious")
    assert isinstance(init(claims(tmp_path), "--out", out).exception, DataError)
    assert out.read_text() == "precious"
    assert init(claims(tmp_path), "--out", out, "--force").exit_code == 0
    assert load_recipe(out).name == "my-claims"


def test_bad_rows_are_told_and_skipped_by_the_recipe(tmp_path: Path) -> None:
    path = claims(tmp_path, 60)
    path.write_text(path.read_text() + "No label,E,\n")
    result = init(path)
    assert "1 bad row is left out, first:" in result.stderr
    assert "on_bad_row: skip      # 1 rows cannot be used" in result.stdout


def test_odd_names_and_labels_survive_being_written(tmp_path: Path) -> None:
    path = tmp_path / "2024 Ä.tsv"
    path.write_text('claim: x\tevidence\tno\nA\tB\tyes: "sure"\nC\tD\tnei\n' * 1)
    out = tmp_path / "odd.yaml"
    options = ("--column", "claim=claim: x", "--column", "label=no", "--label", 'yes: "sure"=PASS')
    result = init(path, "--out", out, *options)
    assert result.exit_code == 0, result.exception
    (source,) = load_recipe(out).data.sources.values()
    assert isinstance(source, TableSource)
    assert (source.columns.claim, source.columns.label) == ("claim: x", "no")
    assert source.labels == {'yes: "sure"': "PASS"}


def test_labels_that_are_missing_are_told(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("claim,evidence,label\n" + "".join(f"C{n},E,{('PASS', 'FAIL')[n % 2]}\n" for n in range(40)))
    assert "none is NA, so that cannot be learned" in init(path).stdout
