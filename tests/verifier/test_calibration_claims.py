"""What is kept of the claims that a threshold was chosen on, and what claims look like."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from candor.metrics.familiarity import FEWEST_KNOWN, SHIFT_LEVEL
from candor.types import LABELS, Prediction, Validity
from candor.verifier.calibration_claims import TRAITS, CalibrationClaims, Resemblance, answer_traits, text_traits


def rows(count: int = 220, *, seed: int = 0, sentences: int = 2) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    made = []
    for n in range(count):
        words = " ".join(f"w{w}" for w in rng.integers(0, 30, rng.integers(4, 9)))
        shown = tuple(" ".join(f"w{w}" for w in rng.integers(0, 30, 8)) for _ in range(sentences))
        gold, p = LABELS[n % 3], rng.dirichlet([4, 2, 1]).tolist()
        label = gold if rng.random() < 0.8 else LABELS[(n + 1) % 3]
        made.append(
            Prediction(
                str(n),
                "d",
                f"g{n}",
                words,
                shown,
                gold,
                "",
                label,
                round(float(rng.beta(5, 2)), 2),
                Validity.CLEAN,
                label_probs=(p[0], p[1], p[2]),
            )
        )
    return made


def kept(made: list[Prediction]) -> CalibrationClaims:
    found = CalibrationClaims.from_predictions(made)
    assert found is not None
    return found


def test_traits_by_hand() -> None:
    claim_words, evidence_words, sentences, overlap = text_traits("The owl, a bird", ["An OWL is big.", "Bird of prey"])
    assert (claim_words, evidence_words) == (math.log(5), math.log(8))
    assert (sentences, overlap) == (2.0, 0.5)
    assert text_traits("x", []) == (math.log(2), 0.0, 0.0, 0.0)
    assert text_traits("...", ["!"])[3] == 0.0
    p, confidence = answer_traits((0.1, 0.8, 0.1), 1.0)
    assert p == pytest.approx(math.log(4))
    assert confidence == pytest.approx(math.log(0.995 / 0.005))


def test_answers_that_cannot_be_compared_are_left_out() -> None:
    made = rows(6)
    made[0] = replace(made[0], label=None, confidence=None, validity=Validity.NONE)
    made[1] = replace(made[1], confidence=None)
    made[2] = replace(made[2], label_probs=None)
    found = kept(made)
    assert found.traits_N_F.shape == (3, len(TRAITS))
    assert found.answers.correct.tolist() == [row.label is row.gold for row in made[3:]]
    assert CalibrationClaims.from_predictions(made[:3]) is None


def test_what_is_kept_survives_json_and_holds_no_text() -> None:
    made = [replace(row, valid_mass=None if n % 2 else 0.9) for n, row in enumerate(rows())]
    found = kept(made)
    written = json.dumps(found.as_json(), allow_nan=False)
    assert "w1" not in written
    read = CalibrationClaims.from_json(json.loads(written))
    new = kept(rows(50, seed=1)).traits_N_F
    assert read.unfamiliar(new) == found.unfamiliar(new)
    assert read.traits_N_F == pytest.approx(found.traits_N_F, abs=1e-6)
    assert (read.answers.correct == found.answers.correct).all()
    assert read.answers.confidence_N.tolist() == found.answers.confidence_N.tolist()
    assert read.answers.group_N.tolist() == found.answers.group_N.tolist()
    assert read.answers.valid_mass_N is not None
    assert np.isnan(read.answers.valid_mass_N).tolist() == [n % 2 == 1 for n in range(len(made))]


def test_claims_from_elsewhere_are_marked_and_named() -> None:
    found = kept(rows())
    alike, longer = kept(rows(40, seed=1)).traits_N_F, kept(rows(40, seed=2, sentences=3)).traits_N_F
    assert sum(flag is True for flag in found.unfamiliar(alike)) <= 2
    # All calibration claims show two sentences, so three give a claim away.
    assert found.unfamiliar(longer) == [True] * 40
    assert not found.resemblance(alike).shifted
    said = found.resemblance(longer)
    assert said.shifted
    assert said.unfamiliar == 40
    assert "sentences of the evidence" in said.words
    assert said.words.endswith("on them it promises nothing.")


def test_a_claim_asked_again_and_again_counts_once() -> None:
    found = kept(rows())
    once = kept(rows(5, seed=1)).traits_N_F
    assert found.resemblance(np.repeat(once, 100, axis=0)) == found.resemblance(once)
    assert found.resemblance(once).claims == 5
    with pytest.raises(ValueError, match="no claims to compare"):
        found.resemblance(once[:0])


def test_of_few_groups_nothing_is_said_about_a_single_claim() -> None:
    made = [replace(row, group=f"g{n % (FEWEST_KNOWN - 1)}") for n, row in enumerate(rows(400))]
    assert kept(made).unfamiliar(np.full((2, len(TRAITS)), 99.0)) == [None, None]
    enough = [replace(row, group=f"g{n % FEWEST_KNOWN}") for n, row in enumerate(rows(400))]
    assert kept(enough).unfamiliar(np.full((2, len(TRAITS)), 99.0)) == [True, True]


def test_weights_lean_to_the_claims_that_will_come() -> None:
    found = kept(rows(600))
    longer = found.traits_N_F[found.traits_N_F[:, 0] > np.median(found.traits_N_F[:, 0])]
    weight_N = found.weights(longer)
    is_longer = found.traits_N_F[:, 0] > np.median(found.traits_N_F[:, 0])
    assert weight_N[is_longer].mean() > 2 * weight_N[~is_longer].mean()


def test_the_finding_in_words() -> None:
    calm = Resemblance(12, 0, 0.4, {"words of the claim": 0.4})
    assert calm.words == "Nothing shows that these 12 claims differ from those the threshold was chosen on."
    assert not calm.shifted
    loud = Resemblance(12, 3, 1e-9, {"words of the claim": 0.2, "stated confidence": 1e-9})
    assert loud.p < SHIFT_LEVEL
    assert "p = 0.002;" in replace(loud, p=0.002).words
    assert loud.words == (
        "These 12 claims look unlike those the threshold was chosen on (stated confidence; p < 0.0001; 3 of them on "
        "their own): on them it promises nothing."
    )
