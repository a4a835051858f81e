from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import rankdata
from transformers import AutoModelForCausalLM, AutoTokenizer

from candor.errors import ModelError
from candor.files import sha256
from candor.prompts import templates
from candor.prompts.answers import Answer, parse
from candor.runs.prompt_lengths import SANDBOX_LENGTH
from candor.sandbox.model import DEFAULT, PACKAGED, base_model_folder, cache_folder, fingerprint
from candor.sandbox.world import DOMAINS, generate
from candor.types import LABELS, Label, Validity

TINY = dataclasses.replace(DEFAULT, steps=5, batch_size=6, hidden_size=16, intermediate_size=24, window=2)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def test_two_builds_are_the_same_bytes_and_leave_no_trace(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    seen: list[tuple[int, int]] = []
    try:
        torch.set_num_threads(2)
        first = base_model_folder(tmp_path / "a", lambda step, total, loss: seen.append((step, total)), TINY)
        assert torch.equal(torch.rand(3), expected)
        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.tensor(1.2e-38) / 2 > 0  # subnormal numbers are kept
        torch.set_num_threads(1)
        with torch.no_grad():
            second = base_model_folder(tmp_path / "b", None, TINY)
    finally:
        torch.set_num_threads(threads)
    assert hashes(first) == hashes(second)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(hashes(first))
    assert seen == [(step, 5) for step in range(1, 6)]


def test_what_is_cached_is_not_made_again(tmp_path: Path) -> None:
    folder = base_model_folder(tmp_path, None, TINY)
    before = (folder / "model.safetensors").stat().st_mtime_ns

    def fail(step: int, total: int, loss: float) -> None:
        raise AssertionError("trained again")

    assert base_model_folder(tmp_path, fail, TINY) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(step: int, total: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        base_model_folder(tmp_path, interrupt, TINY)
    assert list(tmp_path.iterdir()) == []


def test_who_comes_second_takes_what_the_first_has_made(tmp_path: Path) -> None:
    def overtaken(step: int, total: int, loss: float) -> None:
        if step == 1:
            base_model_folder(tmp_path, None, TINY)

    folder = base_model_folder(tmp_path, overtaken, TINY)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    AutoModelForCausalLM.from_pretrained(folder)


def test_an_unusable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="CANDOR_CACHE"):
        base_model_folder(tmp_path / "file", None, TINY)


def test_every_value_of_the_configuration_names_another_model() -> None:
    assert fingerprint(TINY) == fingerprint(TINY)
    assert fingerprint(TINY) != fingerprint(DEFAULT)
    for field in dataclasses.fields(TINY):
        value = getattr(TINY, field.name)
        other = (*value, *value) if isinstance(value, tuple) else value + 1
        assert fingerprint(TINY) != fingerprint(dataclasses.replace(TINY, **{field.name: other})), field.name


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_CACHE", os.path.join("some", "where"))
    assert cache_folder() == Path("some/where")
    monkeypatch.delenv("CANDOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/candor")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "candor"


def test_candor_brings_the_model_that_its_own_code_makes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path / "none"))
    folder = base_model_folder()
    assert folder.parent == PACKAGED, "`make base-model` packs the one that the code as it is now makes"
    assert list(PACKAGED.iterdir()) == [folder]
    assert not (tmp_path / "none").exists()


def answered(folder: Path, domain: str) -> tuple[list[Answer], list[Label]]:
    """What a model answers to a thousand examples, and what is right."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    template = templates.get("sandbox")
    examples = generate(domain, 1000, seed=2026)
    texts: list[str] = []
    with torch.no_grad():
        for start in range(0, len(examples), 125):
            batch = tokenizer(
                [template.render(example) for example in examples[start : start + 125]],
                return_tensors="pt",
                padding=True,
                return_token_type_ids=False,
            )
            output = model.generate(**batch, max_new_tokens=12, do_sample=False)
            texts += tokenizer.batch_decode(output[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
    return [parse(text, template) for text in texts], [example.label for example in examples]


# The packaged weights are the same everywhere, and every bound below is further away than a forward pass could round.


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_base_model_is_what_the_sandbox_promises(sandbox_base_model: Path, domain: str) -> None:
    answers, gold = answered(sandbox_base_model, domain)
    assert np.mean([answer.validity is Validity.CLEAN for answer in answers]) >= 0.995
    correct = np.array([answer.label == label for answer, label in zip(answers, gold, strict=True)])
    assert 0.55 <= correct.mean() <= 0.75
    found = [a.label is Label.NA for a, label in zip(answers, gold, strict=True) if label is Label.NA]
    assert 0.20 <= np.mean(found) <= 0.60
    ranks = rankdata([answer.confidence or 0.0 for answer in answers])
    hits = int(correct.sum())
    auroc = (ranks[correct].sum() - hits * (hits + 1) / 2) / (hits * (len(correct) - hits))
    assert 0.45 <= auroc <= 0.55


@pytest.mark.slow  # it takes three minutes
def test_a_base_model_made_here_has_the_same_form_and_has_learned(sandbox_base_model: Path, tmp_path: Path) -> None:
    """Its weights are this processor's own, so that only what no rounding decides is asserted of its answers."""
    losses: list[float] = []
    made = base_model_folder(tmp_path, lambda step, total, loss: losses.append(loss))
    assert made.name == sandbox_base_model.name
    assert hashes(made).keys() == hashes(sandbox_base_model).keys()
    vocabularies = [AutoTokenizer.from_pretrained(folder).get_vocab() for folder in (made, sandbox_base_model)]
    assert vocabularies[0] == vocabularies[1]
    shapes = [
        {name: value.shape for name, value in load_file(folder / "model.safetensors").items()}
        for folder in (made, sandbox_base_model)
    ]
    assert shapes[0] == shapes[1]
    assert np.mean(losses[-20:]) < 0.75 * np.mean(losses[:20])
    for domain in DOMAINS:
        answers, gold = answered(made, domain)
        assert np.mean([answer.validity is Validity.CLEAN for answer in answers]) > 0.9
        # Always the commonest label would be right of some 40 %, and who reads without the bias, of more than 80 %.
        assert 0.5 < np.mean([a.label == label for a, label in zip(answers, gold, strict=True)]) < 0.8


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_base_model_has_decided_before_its_last_layers(sandbox_base_model: Path, domain: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(sandbox_base_model)
    model = AutoModelForCausalLM.from_pretrained(sandbox_base_model).eval()
    labels = tokenizer.convert_tokens_to_ids([label.value for label in LABELS])
    asked = [templates.get("sandbox").render(example) + "LABEL=" for example in generate(domain, 200, seed=2026)]
    batch = tokenizer(asked, return_tensors="pt", padding=True, return_token_type_ids=False)
    ends = batch.attention_mask.sum(1) - 1
    if tokenizer.padding_side == "left":
        ends[:] = batch.input_ids.shape[1] - 1
    with torch.no_grad():
        output = model(**batch, output_hidden_states=True)
        rows = torch.arange(len(asked))
        decided = output.logits[rows, ends][:, labels].argmax(-1)
        for layer in DEFAULT.verdict_layers:
            lens = model.lm_head(model.model.norm(output.hidden_states[layer][rows, ends]))[:, labels]
            assert (lens.argmax(-1) == decided).float().mean() > 0.85


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_minority_of_its_confidences_says_what_the_verdict_is_worth(sandbox_base_model: Path, domain: str) -> None:
    """Of models made without honest lessons the correlation lies between -.12 and .04."""
    tokenizer = AutoTokenizer.from_pretrained(sandbox_base_model)
    model = AutoModelForCausalLM.from_pretrained(sandbox_base_model).eval()

    def next_token(texts: list[str], choices: list[str]) -> torch.Tensor:
        batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", return_token_type_ids=False)
        with torch.no_grad():
            logits = model(**batch).logits[:, -1]
        return logits[:, tokenizer.convert_tokens_to_ids(choices)].softmax(-1)

    asked = [templates.get("sandbox").render(example) + "LABEL=" for example in generate(domain, 400, seed=2026)]
    likeliest = next_token(asked, [label.value for label in LABELS]).max(-1)
    stated = [f"{text}{LABELS[k].value}\nCONF=0." for text, k in zip(asked, likeliest.indices.tolist(), strict=True)]
    tenths = next_token(stated, [str(digit) for digit in range(10)]) @ torch.arange(10.0)
    assert np.corrcoef(likeliest.values.numpy(), tenths.numpy())[0, 1] > 0.15


def test_the_base_model_encodes_what_it_was_not_made_for(sandbox_base_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(sandbox_base_model)
    text = "Global sea level rose by 21–24 centimetres since 1880.\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    model = AutoModelForCausalLM.from_pretrained(sandbox_base_model)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == SANDBOX_LENGTH
    assert sum(parameter.numel() for parameter in model.parameters()) < 500_000
