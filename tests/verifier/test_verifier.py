from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_run import CLAIMS

from candor.engines.answer_scores import greedy_answer
from candor.engines.ragged import padded
from candor.errors import CandorError, DamagedError, DataError, ModelError, PromptError, RunError
from candor.files import read_json, write_json
from candor.metrics.familiarity import FEWEST_KNOWN
from candor.metrics.threshold import LEAST_VALID_MASS, Choice, one_per_group
from candor.metrics.views import View, stated_view
from candor.predictions.file import read_predictions
from candor.prompts.answers import CONFIDENCES
from candor.prompts.grammar import answer_grammar
from candor.prompts.templates import get
from candor.recipe.recipe import load_recipe
from candor.run_folder import RunFolder
from candor.seals import seal_folder
from candor.types import LABELS, Validity
from candor.verifier.abstention import Abstention, choose_abstention
from candor.verifier.calibration_claims import TRAITS, CalibrationClaims
from candor.verifier.verdict import Verdict
from candor.verifier.verifier import Verifier


@pytest.fixture(scope="module")
def verifier(trained_run: Path) -> Verifier:
    return Verifier.load(trained_run, device="cpu")


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, candor; print([m for m in ('torch', 'transformers', 'numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"


def test_the_names_are_there() -> None:
    import candor

    assert (candor.Verifier, candor.Verdict) == (Verifier, Verdict)


def test_unknown_names_are_refused() -> None:
    import candor

    with pytest.raises(AttributeError, match="Verifyer"):
        _ = candor.Verifyer  # type: ignore[attr-defined]


def test_verdicts_are_those_of_the_run(verifier: Verifier, trained_run: Path) -> None:
    rows = read_predictions(RunFolder(trained_run).predictions("trained", "validation", "toy")).predictions
    verdicts = verifier.verify_batch([(row.claim, row.evidence) for row in rows])
    clean = [(v, row) for v, row in zip(verdicts, rows, strict=True) if row.validity is Validity.CLEAN]
    assert len(clean) > 5
    for verdict, row in clean:
        assert (verdict.label, verdict.confidence) == (row.label, row.confidence)
        assert row.label_probs is not None
        assert verdict.label_probs == pytest.approx(row.label_probs, abs=1e-5)


def test_probabilities_are_those_of_every_answer(verifier: Verifier) -> None:
    claim, evidence = CLAIMS[0]
    engine, template = verifier._engine, get("sandbox")
    answers = answer_grammar(template, engine.tokenizer).answers
    prompt = verifier.encode(claim, evidence).tokens
    one_by_one = np.array([engine.logprobs([prompt], [[answer]])[0][0].sum() for answer in answers[::20]])
    together = np.array([row.sum() for row in engine.logprobs([prompt], [answers])[0]])
    assert together[::20] == pytest.approx(one_by_one, abs=1e-4)
    # Four ends behind each label stand for the others. A model that learned little ends here more, there less.
    verdict = verifier.verify(claim, evidence)
    assert verdict.valid_mass == pytest.approx(np.exp(together).sum(), abs=0.01)


def test_open_answers_change_neither_label_nor_statement_nor_probabilities(verifier: Verifier) -> None:
    engine, grammar = verifier._engine, answer_grammar(get("sandbox"), verifier._engine.tokenizer)
    tokens_A_T = padded([grammar.answers], fill=-1)[0]
    verdicts = verifier.verify_batch(CLAIMS)
    for verdict, (claim, evidence) in zip(verdicts, CLAIMS, strict=True):
        (scores,) = engine.logprobs([verifier.encode(claim, evidence).tokens], [grammar.answers])
        scores_A_T = padded([scores])[0]
        chosen = greedy_answer(tokens_A_T, scores_A_T)
        assert (LABELS.index(verdict.label), verdict.confidence) == (chosen // 101, CONFIDENCES[chosen % 101])
        labels = [scores_A_T[101 * k, grammar.label_start[0] : grammar.label_end[101 * k]].sum() for k in range(3)]
        assert verdict.label_probs == pytest.approx(np.exp(labels) / np.exp(labels).sum(), abs=1e-5)


def test_every_token_that_ends_a_turn_counts_to_the_mass(trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat model may end with another token than the tokenizer's, and with any that its settings name."""
    claim, evidence = CLAIMS[0]
    plain = Verifier.load(trained_run, device="cpu")
    engine = plain._engine
    ends = [engine.tokenizer.eos_token_id, 5, 9]
    monkeypatch.setattr(engine._model.generation_config, "eos_token_id", ends)
    verifier = Verifier(engine, get("sandbox"))
    answers = [(*a[:-1], end) for a in answer_grammar(get("sandbox"), engine.tokenizer).answers for end in ends]
    (scores,) = engine.logprobs([verifier.encode(claim, evidence).tokens], [answers])
    mass = np.exp([row.sum() for row in scores]).sum()
    verdict, before = verifier.verify(claim, evidence), plain.verify(claim, evidence)
    assert verdict.valid_mass == pytest.approx(mass, abs=0.01)
    assert verdict.valid_mass > before.valid_mass
    assert (verdict.label, verdict.confidence) == (before.label, before.confidence)
    assert verdict.label_probs == pytest.approx(before.label_probs, abs=1e-5)


def test_a_document_longer_than_all_room_is_cut_and_said(verifier: Verifier) -> None:
    verdict = verifier.verify("x = 3", "x is 3. " * 200)
    assert verdict.evidence_cut > 1000
    assert verdict.evidence_dropped == 0
    assert verdict.as_json()["evidence_cut"] == verdict.evidence_cut
    assert verifier.verify("x = 3", "x is 3.").evidence_cut == 0


def test_a_verdict_depends_on_its_own_claim_alone(verifier: Verifier) -> None:
    together = verifier.verify_batch(CLAIMS)
    for verdict, (claim, evidence) in zip(together, CLAIMS, strict=True):
        alone = verifier.verify(claim, evidence)
        assert (alone.label, alone.confidence) == (verdict.label, verdict.confidence)
        assert alone.label_probs == pytest.approx(verdict.label_probs, abs=1e-5)
    assert together[0] == together[4]
    assert verifier.verify_batch([]) == []


def test_a_string_is_one_sentence(verifier: Verifier) -> None:
    assert verifier.encode("x = 3", "x is 3") == verifier.encode("x = 3", ["x is 3"])
    assert verifier.encode("x = 3", "x is 3") != verifier.encode("x = 3", ["x", "is", "3"])


def test_long_evidence_is_cut_from_the_end_and_counted(verifier: Verifier) -> None:
    evidence = [f"sentence {index} of some length" for index in range(12)]
    verdict = verifier.verify("x = 3", evidence)
    assert 0 < verdict.evidence_dropped < 12
    shown = verifier.verify("x = 3", evidence[: 12 - verdict.evidence_dropped])
    assert shown.evidence_dropped == 0
    assert shown.label_probs == pytest.approx(verdict.label_probs, abs=1e-6)


@pytest.mark.parametrize(
    ("claim", "evidence", "message"),
    [
        ("", [], "'claim' is empty"),
        (" \n", [], "'claim' is empty"),
        (None, [], "'claim' must be text, not null"),
        ("x", [3], "'evidence' must be text, not a number"),
        ("x", 7, "'evidence' must be text or a list of texts"),
        ("x", [""], "'evidence' is empty"),
        ("\ud800", [], "surrogate"),
    ],
)
def test_what_is_no_claim_is_refused(verifier: Verifier, claim: str, evidence: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        verifier.verify(claim, evidence)


def test_a_claim_too_long_for_the_model_is_refused(verifier: Verifier) -> None:
    with pytest.raises(PromptError, match="without any evidence"):
        verifier.verify("x" * 400)


# ------------------------------------------------------------------------------------------------------ abstention


def test_the_rule_accepts_from_its_threshold_on() -> None:
    rule = Abstention(0.1, 0.9, ("wiki",), Choice(0.7, 100, 50, 1, 0.08, None))
    assert rule.accepts(0.7, 1.0)
    assert rule.accepts(0.1 + 0.6, 1.0)  # 0.7 but for the last bit
    assert not rule.accepts(0.69, 1.0)
    assert not rule.accepts(0.9, LEAST_VALID_MASS - 0.01)
    assert not Abstention(0.1, 0.9, ("wiki",), Choice(None, 100, 0, 0, None, "why")).accepts(1.0, 1.0)
    assert Abstention.from_json(rule.as_json()) == rule


def test_the_threshold_keeps_its_word_on_the_validation_answers(trained_run: Path) -> None:
    rows = read_predictions(RunFolder(trained_run).predictions("trained", "validation", "toy")).predictions
    recipe = load_recipe(trained_run / "recipe.yaml")
    rule = choose_abstention(trained_run, recipe, risk=0.9)
    assert rule is not None
    assert rule.sources == ("toy",)
    assert rule.choice.n == len({row.group for row in rows})
    assert rule.choice.threshold is not None
    picked = [rows[index] for index in one_per_group(stated_view(rows).group_N)]
    taken = [r for r in picked if r.confidence is not None and r.confidence >= rule.choice.threshold]
    assert rule.choice.accepted == len(taken)
    assert rule.choice.errors == sum(r.label is not r.gold for r in taken)
    assert rule.choice.errors / rule.choice.accepted <= 0.9


def test_the_risk_decides_what_is_accepted(trained_run: Path, verifier: Verifier) -> None:
    claims = [CLAIMS[0], CLAIMS[1]]
    assert verifier.abstention is not None
    loose = Verifier.load(trained_run, device="cpu", risk=0.999)
    assert loose.abstention is not None
    threshold = loose.abstention.choice.threshold
    assert threshold is not None
    for verdict in loose.verify_batch(claims):
        passes = verdict.confidence >= threshold - 1e-12 and verdict.valid_mass >= LEAST_VALID_MASS
        assert verdict.accepted is passes


def test_without_validation_there_is_nothing_to_compare_with(trained_run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "run"
    shutil.copytree(trained_run, bare, ignore=shutil.ignore_patterns("validation", "checkpoints"))
    verifier = Verifier.load(bare, device="cpu")
    assert verifier.abstention is None
    assert verifier.verify(*CLAIMS[0]).accepted is None
    with pytest.raises(RunError, match="no validation answers of 'toy'"):
        Verifier.load(bare, validation=["toy"])


# ----------------------------------------------------------------------------------------------------- familiarity


def known(verifier: Verifier, claims: list[tuple[str, list[str]]]) -> CalibrationClaims:
    """Calibration claims that look like ``claims``, a little spread out, answered rightly in nine cases of ten."""
    _, traits_M_F = verifier._compared(claims)
    rng = np.random.default_rng(0)
    rows = np.tile(traits_M_F, (60, 1))
    rows += rng.normal(0, 0.2, rows.shape)
    right = rng.random(len(rows)) < 0.9
    view = View(np.zeros(len(rows), int), np.where(right, 0, 1), np.full(len(rows), 0.9), np.arange(len(rows)))
    return CalibrationClaims(rows, view)


def _with_known(verifier: Verifier, calibration: CalibrationClaims) -> Verifier:
    other = copy(verifier)
    other.calibration = calibration
    return other


def test_a_run_knows_the_claims_of_its_threshold(verifier: Verifier, trained_run: Path) -> None:
    rows = read_predictions(RunFolder(trained_run).predictions("trained", "validation", "toy")).predictions
    assert verifier.calibration is not None
    assert verifier.calibration.traits_N_F.shape == (sum(row.confidence is not None for row in rows), len(TRAITS))
    # Of these few groups nothing can be said about a single claim; what is described is the rule and its promise.
    assert len({row.group for row in rows}) < FEWEST_KNOWN
    assert verifier.verify(*CLAIMS[0]).unfamiliar is None
    described = verifier.describe()["abstention"]
    assert (described["split"], described["sources"]) == ("validation", ("toy",))
    assert described["promise"] == (verifier.abstention and verifier.abstention.promise)


def test_a_claim_unlike_the_known_ones_is_marked(verifier: Verifier) -> None:
    alike = CLAIMS[:4]
    marking = _with_known(verifier, known(verifier, alike))
    assert [verdict.unfamiliar for verdict in marking.verify_batch(alike)] == [False] * 4
    assert marking.verify("x = 3", ["y"] * 14).unfamiliar is True
    plain, marked = verifier.verify("x = 3", ["y"] * 14), marking.verify("x = 3", ["y"] * 14)
    assert replace(marked, unfamiliar=None) == plain
    assert marking.verify_batch([]) == []


def test_claims_together_are_compared_with_the_known_ones(verifier: Verifier) -> None:
    comparing = _with_known(verifier, known(verifier, CLAIMS[:4]))
    elsewhere = [(f"x = {n}", ["y", "z", "ab"] * (2 + n % 3)) for n in range(12)]
    found = comparing.resemblance(elsewhere)
    assert found.shifted
    assert found.unfamiliar > 0
    assert "sentences of the evidence" in found.words
    with pytest.raises(DataError, match="no claims to compare"):
        comparing.resemblance([])


def test_a_threshold_for_claims_that_nobody_has_labelled(verifier: Verifier) -> None:
    marking = _with_known(verifier, known(verifier, CLAIMS[:4]))
    marking.abstention = Abstention(0.5, 0.9, ("toy",), Choice(None, 5, 0, 0, None, "too few"))
    weighted = marking.for_claims(CLAIMS[:4])
    assert weighted.abstention is not None
    assert (weighted.abstention.weighted_to, weighted.abstention.choice.threshold) == (4, 0.9)
    assert weighted.abstention.choice.n < 240
    assert "claims like the 4 it was weighted to" in weighted.describe()["abstention"]["promise"]
    assert marking.abstention.weighted_to == 0
    assert marking.describe() | {"abstention": None} == weighted.describe() | {"abstention": None}


def test_without_known_claims_nothing_is_compared(trained_run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "run"
    shutil.copytree(trained_run, bare, ignore=shutil.ignore_patterns("validation", "checkpoints"))
    verifier = Verifier.load(bare, device="cpu")
    for ask in (verifier.resemblance, verifier.for_claims):
        with pytest.raises(RunError, match=r"give counts under data\.calibration"):
            ask([CLAIMS[0]])
    assert verifier.verify(*CLAIMS[0]).unfamiliar is None


# --------------------------------------------------------------------------------------------------------- loading


def test_a_plain_model_with_an_adapter_is_the_run(trained_run: Path, verifier: Verifier) -> None:
    plain = Verifier.load(
        trained_run.parent / "model", adapter=trained_run / "adapter", template="sandbox", device="cpu"
    )
    ours, theirs = plain.verify(*CLAIMS[3]), verifier.verify(*CLAIMS[3])
    assert (ours.label, ours.confidence) == (theirs.label, theirs.confidence)
    assert ours.label_probs == pytest.approx(theirs.label_probs, abs=1e-5)
    assert ours.accepted is None


def test_a_plain_model_is_asked_in_the_chat_that_is_asked_for(trained_run: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained_run.parent / "model", model)
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}\n")
    load = functools.partial(Verifier.load, str(model), template="sandbox", device="cpu")
    plain, told = load(), load(chat={"system": "x is 3 "})
    assert told.encode("x = 1").tokens != plain.encode("x = 1").tokens
    assert told.describe()["template_sha256"] != plain.describe()["template_sha256"]
    with pytest.raises(PromptError, match="chat: unknown key sistem; did you mean system"):
        load(chat={"sistem": "x"})


def test_a_changed_base_model_gives_no_verdict(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    engine = read_json(run / "engine.json")
    name = engine["base"].partition(" (")[0]
    write_json(run / "engine.json", engine | {"base": f"{name} (SHA-256 {'0' * 16})"})
    with pytest.raises(ModelError, match=r"its adapter was trained on the base model .*; put the model back"):
        Verifier.load(run, device="cpu")


def test_a_damaged_adapter_gives_no_verdict_on_a_plain_model_either(trained_run: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(trained_run / "adapter", adapter)
    weights = bytearray((adapter / "adapter_model.safetensors").read_bytes())
    weights[-5] ^= 1
    (adapter / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(DamagedError, match=r"adapter_model\.safetensors is not what was written"):
        Verifier.load(str(trained_run.parent / "model"), adapter=adapter, template="sandbox", device="cpu")


def test_what_cannot_be_loaded_is_explained(trained_run: Path, tmp_path: Path) -> None:
    several = tmp_path / "several"
    for name in ("one", "two"):
        (several / name).mkdir(parents=True)
        shutil.copy(trained_run / "recipe.yaml", several / name)
    with pytest.raises(RunError, match=r"several runs; choose one: .*one, .*two"):
        Verifier.load(several)
    with pytest.raises(RunError, match="no trained model in it yet"):
        Verifier.load(several / "one")
    for own in ({"template": "verdict"}, {"adapter": trained_run / "adapter"}, {"chat": {"system": "Be brief."}}):
        with pytest.raises(RunError, match="a run, which has its own adapter, template and chat settings"):
            Verifier.load(trained_run, **own)
    with pytest.raises(RunError, match="between 0 and 1"):
        Verifier.load(trained_run, risk=1.5)
    with pytest.raises(RunError, match="no run folder"):
        Verifier.load(trained_run.parent / "model", risk=0.1)
    with pytest.raises(ModelError, match="no such folder"):
        Verifier.load(tmp_path / "nothing")


def test_an_adapter_needs_its_own_sandbox_model(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace(f"name: {trained_run.parent / 'model'}", "name: sandbox"))
    (run / "sha256.json").unlink()
    settings = read_json(run / "adapter" / "adapter_config.json")
    assert Verifier.load(run, device="cpu").describe()["model"] == settings["base_model_name_or_path"]
    write_json(run / "adapter" / "adapter_config.json", settings | {"base_model_name_or_path": "/gone/sandbox-base-1"})
    seal_folder(run / "adapter")
    monkeypatch.setattr("candor.engines.load.sandbox_model", lambda reporter: tmp_path / "sandbox-base-2")
    with pytest.raises(ModelError, match="sandbox-base-1, which is not there any more"):
        Verifier.load(run)


def test_a_model_that_reasons_first_is_refused(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace("reasoning_tokens: 0", "reasoning_tokens: 8"))
    (run / "sha256.json").unlink()
    with pytest.raises(RunError, match="reason before it answers"):
        Verifier.load(run)


DAMAGED = ("recipe.yaml", "sha256.json", "predictions/trained/validation/toy.jsonl")
DAMAGED_ADAPTER = ("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "adapter/sha256.json")


@pytest.mark.parametrize("name", DAMAGED + DAMAGED_ADAPTER)
def test_nothing_is_said_on_the_ground_of_a_damaged_file(trained_run: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    whole = (run / name).read_bytes()
    (run / name).write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    with pytest.raises(CandorError, match=name.split("/")[-1]):
        Verifier.load(run, device="cpu")
