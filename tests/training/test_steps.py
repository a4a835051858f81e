from __future__ import annotations

from pathlib import Path

import pytest
from toy import byte_tokenizer, save_toy_model, toy_recipe

from candor.prompts import templates
from candor.prompts.encoding import encode_continuation
from candor.prompts.grammar import answer_grammar
from candor.training.sampled import label_sites


def test_labels_behind_reasoning_are_asked_for_there() -> None:
    tokenizer = byte_tokenizer()
    texts = ["LABEL=NA\nCONF=0.50", "Hm. LABEL=PASS\nCONF=0.90", "LABEL=FAIL", "Hm. LABEL=NA"]
    completions = [tuple(encode_continuation(tokenizer, text)) for text in texts]
    found = label_sites(tokenizer, completions)
    assert [tokenizer.decode(each.site.choices[2]) for each in found] == ["LABEL=NA", "Hm. LABEL=NA"]
    assert [each.site.start for each in found] == [len("LABEL="), len("Hm. LABEL=")]
    assert [each.share for each in found] == [0.5, 0.5]


@pytest.mark.parametrize(("preset", "behind"), [("paper", 0), ("candor-sampled", len("\nCONF=0.00") + 1)])
def test_a_late_label_leaves_room_for_every_confidence(tmp_path: Path, preset: str, behind: int) -> None:
    save_toy_model(tmp_path / "model")
    recipe = toy_recipe(
        tmp_path / "model",
        f"objective={{preset: {preset}}}",
        "sampling.max_new_tokens=100",
        "evaluation.max_new_tokens=50",
    )
    grammar = answer_grammar(templates.get("sandbox"), byte_tokenizer())
    assert recipe.answer_room(grammar) == 100 + behind
