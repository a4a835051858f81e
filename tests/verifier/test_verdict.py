"""What a verifier says, as it is written down and compared."""

from __future__ import annotations

import numpy as np

from candor.prompts.answers import CONFIDENCES
from candor.types import LABELS, Label
from candor.verifier.calibration_claims import TRAITS, answer_traits, text_traits
from candor.verifier.verdict import EncodedClaim, Verdict, traits_of


def test_a_verdict_as_json() -> None:
    verdict = Verdict(Label.NA, 0.4, (0.2, 0.3, 0.5), 0.99, None, 1)
    assert verdict.as_json() == {
        "label": "NA",
        "confidence": 0.4,
        "label_probs": {"PASS": 0.2, "FAIL": 0.3, "NA": 0.5},
        "valid_mass": 0.99,
        "accepted": None,
        "evidence_dropped": 1,
        "evidence_cut": 0,
        "unfamiliar": None,
    }
    assert (len(LABELS), len(CONFIDENCES)) == (3, 101)


def test_traits_are_those_of_claim_and_verdict() -> None:
    claim = EncodedClaim((1, 2), 0, traits=text_traits("x = 3", ["x is 3"]))
    verdict = Verdict(Label.NA, 0.4, (0.2, 0.3, 0.5), 0.99, None, 0)
    found = traits_of([claim], [verdict])
    assert found.shape == (1, len(TRAITS))
    assert found[0].tolist() == [*claim.traits, *answer_traits((0.2, 0.3, 0.5), 0.4)]
    assert traits_of([], []).shape == (0, len(TRAITS))
    assert np.isfinite(found).all()
