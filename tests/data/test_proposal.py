from __future__ import annotations

from pathlib import Path

import pytest

from candor.data.proposal import propose_form
from candor.errors import DataError
from candor.recipe.data import Columns, TableForm
from candor.types import Label


def table(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "claims.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_usual_table_needs_nothing_said(tmp_path: Path) -> None:
    found = propose_form(table(tmp_path, "claim,evidence,label", "A,B,SUPPORTS", "C,,nei"))
    assert found.form == TableForm()
    assert not found.notes
    assert not found.guessed


def test_other_names_are_known(tmp_path: Path) -> None:
    header = "Claim ID,hypothesis,Premise,gold_label,page,note"
    found = propose_form(table(tmp_path, header, "1,A,B,entailment,P,x", "2,C,D,neutral,Q,x", "3,E,F,neutral,Q,x"))
    assert found.form.columns == Columns(
        claim="hypothesis", evidence="Premise", label="gold_label", id="Claim ID", group="page"
    )


def test_an_id_that_repeats_is_none(tmp_path: Path) -> None:
    found = propose_form(table(tmp_path, "uid,claim,evidence,label", "1,A,B,PASS", "1,C,D,FAIL"))
    assert found.form.columns == Columns()


def test_columns_of_any_name_are_told_by_what_they_hold(tmp_path: Path) -> None:
    rows = [
        f"k{n},{('NEI', 'supported')[n % 2]},This is claim {n},A much longer text that tells of {n}" for n in range(9)
    ]
    found = propose_form(table(tmp_path, "a,b,c,d", *rows))
    assert found.form.columns == Columns(claim="c", evidence="d", label="b")
    assert len(found.notes) == 3


def test_labels_that_could_mean_two_things_are_guessed_and_told(tmp_path: Path) -> None:
    found = propose_form(table(tmp_path, "claim,evidence,label", "A,B,TRUE", "C,D,false", "E,F,unproven", "G,H,nei"))
    assert found.form.labels == {"TRUE": Label.PASS, "false": Label.FAIL, "unproven": Label.NA}
    assert set(found.guessed) == set(found.form.labels)


def test_labels_that_mean_nothing_here_are_asked_for(tmp_path: Path) -> None:
    path = table(tmp_path, "claim,evidence,label", "A,B,0", "C,D,1")
    with pytest.raises(DataError, match=r'--label "0=PASS" --label "1=PASS"'):
        propose_form(path)
    told = TableForm.model_validate({"labels": {"0": "FAIL", "1": "PASS"}})
    found = propose_form(path, told)
    assert found.form == told
    assert not found.guessed


def test_what_was_told_is_kept(tmp_path: Path) -> None:
    path = table(tmp_path, "claim,text,evidence,label", "A,B,C,PASS", "D,E,F,FAIL")
    found = propose_form(path, TableForm(columns=Columns(claim="text")))
    assert found.form.columns.claim == "text"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("claim,evidence,x", "no column looks like the label; .*candor verify"),
        ("claim,label,x", "no column looks like the evidence; .*add an empty column"),
        ("x,evidence,label", "no column looks like the claim; .*--column claim=NAME"),
    ],
)
def test_what_is_missing_is_named_with_a_way_on(tmp_path: Path, header: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        propose_form(table(tmp_path, header, "A,B,1", "C,PASS,2"))


def test_a_file_without_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no row"):
        propose_form(table(tmp_path, "claim,evidence,label"))


def test_a_label_column_is_told_in_any_case_and_must_be_there(tmp_path: Path) -> None:
    path = table(tmp_path, "claim,evidence,Verdict", "A,e,PASS", "B,f,FAIL")
    assert propose_form(path, TableForm(columns=Columns(label="VERDICT"))).form.columns.label == "VERDICT"
    with pytest.raises(DataError, match="no column 'rating'; there are 'claim', 'evidence', 'Verdict'; say which"):
        propose_form(path, TableForm(columns=Columns(label="rating")))
