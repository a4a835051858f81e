"""The parts of a recipe that say which model runs where, and what would leak a key or have no effect."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from candor.recipe.engine import EngineConfig, LoraConfig, ModelConfig


def engine(**values: Any) -> EngineConfig:
    return EngineConfig.model_validate(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"base_url": "http://127.0.0.1:8000"}, "base_url: no effect with kind=local"),
        ({"kind": "tinker", "base_url": "127.0.0.1:8000"}, "is no address; write http://HOST:PORT"),
        ({"kind": "tinker", "base_url": "ftp://host"}, "is no address"),
        ({"kind": "tinker", "base_url": "http://"}, "is no address"),
        ({"adam_betas": [0.9, 1.0]}, "less than 1"),
        ({"adam_eps": 0.0}, "greater than 0"),
        ({"kind": "remote"}, "'local' or 'tinker'"),
        ({"patience_s": float("inf")}, "finite"),
        ({"micro_batch_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_engines(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        engine(**values)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_key_is_sent_unencrypted_to_this_machine_alone(host: str) -> None:
    assert engine(kind="tinker", base_url=f"http://{host}:8000", key_variable="KEY").key_variable == "KEY"
    assert engine(kind="tinker", base_url="https://far.example", key_variable="KEY").key_variable == "KEY"
    assert engine(kind="tinker", base_url="http://far.example").key_variable is None
    with pytest.raises(ValidationError, match=r"http://far\.example is not encrypted; a key is sent over https alone"):
        engine(kind="tinker", base_url="http://far.example", key_variable="KEY")
    # A name that merely begins like this machine's is another machine.
    with pytest.raises(ValidationError, match="not encrypted"):
        engine(kind="tinker", base_url=f"http://{host.strip('[]').replace(':', 'x')}.example", key_variable="KEY")


@pytest.mark.parametrize(
    ("values", "spends"),
    [
        ({}, False),
        ({"kind": "tinker"}, True),
        ({"kind": "tinker", "base_url": "http://127.0.0.1:8000"}, False),
    ],
)
def test_only_the_hosted_service_costs_money(values: dict[str, Any], spends: bool) -> None:
    assert engine(**values).spends is spends


def test_prices_are_of_all_three_kinds() -> None:
    with pytest.raises(ValidationError, match=r"prices\.train"):
        engine(prices={"prefill": 0.1, "sample": 0.2})
    with pytest.raises(ValidationError, match=r"prices\.sample"):
        engine(prices={"prefill": 0.1, "sample": -0.2, "train": 0.3})
    priced = engine(prices={"prefill": 0.1, "sample": 0.2, "train": 0.3}).prices
    assert priced is not None
    assert priced.currency == "USD"


def test_adapters_are_of_every_linear_layer_unless_told() -> None:
    assert LoraConfig().targets == "all-linear"
    assert LoraConfig.model_validate({"targets": ["q_proj"]}).targets == ["q_proj"]
    for wrong in ({"rank": 0}, {"rank": 2000}, {"alpha": 0}, {"targets": "q_proj"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            LoraConfig.model_validate(wrong)


def test_a_model_has_a_name_and_room_for_a_prompt() -> None:
    with pytest.raises(ValidationError, match="name"):
        ModelConfig.model_validate({})
    with pytest.raises(ValidationError, match="max_length"):
        ModelConfig.model_validate({"name": "sandbox", "max_length": 15})
