from __future__ import annotations

from pathlib import Path

from candor.predictions.file import Header, write_predictions
from candor.predictions.form import out_of_form
from candor.types import Label, Prediction, Validity


def answers(path: Path, clean: int, other: int) -> Path:
    header = Header(model="m", template="verdict", template_sha256="0" * 64, dataset="d", split="test", seed=0)
    found = [
        Prediction(str(n), "d", "g", "C", (), Label.NA, "LABEL=NA\nCONF=0.50", Label.NA, 0.5, Validity.CLEAN)
        for n in range(clean)
    ]
    found += [
        Prediction(f"x{n}", "d", "g", "C", (), Label.NA, "The  claim\nis true.", None, None, Validity.NONE)
        for n in range(other)
    ]
    write_predictions(path, header, found)
    return path


def test_a_model_that_never_answers_in_the_form_is_told_how_it_learns_it(tmp_path: Path) -> None:
    words = out_of_form([answers(tmp_path / "a.jsonl", 0, 40), answers(tmp_path / "b.jsonl", 0, 20)])
    assert words is not None
    assert words.startswith("the base model answers none of 60 claims in the form")
    assert "'The claim is true.'" in words
    assert "`warm_start:` teaches it" in words


def test_few_answers_in_the_form_are_counted(tmp_path: Path) -> None:
    assert "answers 1 of 60 claims" in str(out_of_form([answers(tmp_path / "a.jsonl", 1, 59)]))


def test_a_model_that_answers_in_the_form_needs_no_words(tmp_path: Path) -> None:
    assert out_of_form([answers(tmp_path / "a.jsonl", 6, 54)]) is None
    assert out_of_form([]) is None
