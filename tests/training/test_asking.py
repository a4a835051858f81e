"""What a model says of examples before it is trained: its hidden states where a confidence would be stated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import EXAMPLES, save_toy_model, toy_engine, toy_recipe

from candor.errors import EngineError
from candor.prompts.encoding import decode
from candor.recipe.recipe import Recipe
from candor.training.asking import label_probabilities, states_behind_labels


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def recipe(model: Path) -> Recipe:
    return toy_recipe(
        model, "objective={preset: probe-distilled}", "data.validation={toy: 6}", "evaluation.batch_size=3"
    )


def test_probabilities_do_not_hang_on_what_is_asked_beside(model: Path) -> None:
    engine = toy_engine(model)
    probs = label_probabilities(recipe(model), engine, EXAMPLES)
    assert probs.shape == (len(EXAMPLES), 3)
    np.testing.assert_allclose(probs.sum(1), 1.0)
    alone = [label_probabilities(recipe(model), engine, [example])[0] for example in EXAMPLES]
    np.testing.assert_allclose(probs, alone, atol=1e-5)


def test_states_are_read_where_the_confidence_begins(model: Path) -> None:
    engine = toy_engine(model)
    asked: list[str] = []

    def look(sequences: Any) -> Any:
        asked.extend(decode(engine.tokenizer, sequence) for sequence in sequences)
        return np.zeros((len(sequences), 3))

    engine.hidden_states = look  # type: ignore[method-assign]
    states_behind_labels(recipe(model), engine, EXAMPLES[:2], np.array([0, 2]))
    assert asked[0].endswith("LABEL=PASS\nCONF=")
    assert asked[1].endswith("LABEL=NA\nCONF=")
    assert EXAMPLES[1].claim in asked[1]


def test_an_engine_that_shows_none_is_refused(model: Path) -> None:
    class Service:
        tokenizer = toy_engine(model).tokenizer

    with pytest.raises(EngineError, match="shows no hidden states"):
        states_behind_labels(recipe(model), Service(), EXAMPLES, np.zeros(10, dtype=int))  # type: ignore[arg-type]
