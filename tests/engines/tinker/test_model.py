"""What this side knows of a service's model without its weights, and whose key is sent."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import transformers
from toy import toy_tokenizer

from candor.engines.tinker.model import api_key, model_card
from candor.engines.tinker.sdk import NO_KEY
from candor.errors import ModelError
from candor.recipe.engine import EngineConfig, LoraConfig, ModelConfig

HIDDEN, INNER, LAYERS = 8, 12, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokenizer and configuration alone: a service's model has its weights elsewhere."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = toy_tokenizer()
    tokenizer.save_pretrained(path)
    transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    ).save_pretrained(path)
    return path


def config(folder: Path, **lora: object) -> ModelConfig:
    values = {"alpha": 32.0, "rank": 3, **lora}
    return ModelConfig(name=str(folder), max_length=100, lora=LoraConfig.model_validate(values))


def test_sizes_by_hand(folder: Path) -> None:
    card = model_card(config(folder))
    vocabulary = len(card.tokenizer)
    # Four square projections of attention, three of the MLP, and two norms in a layer.
    layer = 4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER + 2 * HIDDEN
    assert card.parameters == LAYERS * layer + 2 * vocabulary * HIDDEN + HIDDEN
    # The output head gets no adapter.
    assert card.adapter_parameters == 3 * LAYERS * (4 * (HIDDEN + HIDDEN) + 3 * (HIDDEN + INNER))
    assert card.max_length == 100
    assert card.stop_token_ids == {card.tokenizer.eos_token_id}


@pytest.mark.parametrize("ends", [7, [7, 9]])
def test_generation_settings_may_name_further_ends(
    folder: Path, ends: int | list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = transformers.GenerationConfig(eos_token_id=ends)
    monkeypatch.setattr(transformers.GenerationConfig, "from_pretrained", lambda *_, **__: settings)
    card = model_card(config(folder))
    assert card.stop_token_ids == {card.tokenizer.eos_token_id, *([ends] if isinstance(ends, int) else ends)}


@pytest.mark.parametrize("lora", [{"targets": ["q_proj"]}, {"parameters": ["mlp.experts.down_proj"]}])
def test_an_adapter_that_a_service_cannot_make_is_refused(folder: Path, lora: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="adapts all linear layers; set targets: all-linear and parameters"):
        model_card(config(folder, **lora))


def test_a_scale_without_effect_is_warned_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model_card(config(folder))
        assert caplog.messages == []
        model_card(config(folder, alpha=64.0))
    (message,) = caplog.messages
    assert "model.lora.alpha has no effect" in message


def test_the_hosted_services_key_is_not_given_to_a_server_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "tml-mine")
    monkeypatch.setenv("OTHER_KEY", "tml-other")
    own = "https://127.0.0.1:8000"
    assert api_key(EngineConfig(kind="tinker")) == "tml-mine"
    assert api_key(EngineConfig(kind="tinker", base_url=own)) == NO_KEY
    assert api_key(EngineConfig(kind="tinker", base_url=own, key_variable="OTHER_KEY")) == "tml-other"


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_that_is_not_set_is_asked_for_by_its_variable(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINKER_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TINKER_API_KEY", value)
    with pytest.raises(ModelError, match="the environment variable TINKER_API_KEY is not set"):
        api_key(EngineConfig(kind="tinker"))
