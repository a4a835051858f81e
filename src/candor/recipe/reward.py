"""The ``reward`` part of a recipe: the weights of its terms, and its presets.

The values of preset ``paper`` are those of the study (see ``recipes/README.md``).
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from candor.config import Config
from candor.extensions import short_name
from candor.recipe.preset import DEFAULT_PRESET, fill_from_preset

Score: TypeAlias = Literal["brier", "logarithmic", "spherical", "absolute"]
"""How a stated confidence is scored."""

TERMS: Final = ("accuracy", "shaping", "calibration", "alignment", "false_na", "consistency", "format")
"""Names of candor's own terms, as logged."""

_NOTHING: Final = {
    "correct": 0.0,
    "wrong": 0.0,
    "wrong_na": None,
    "shaping": 0.0,
    "calibration": 0.0,
    "calibration_score": "brier",
    "alignment": 0.0,
    "alignment_form": "absolute",
    "false_na": 0.0,
    "consistency": 0.0,
    "format": 0.0,
    "warmup_steps": 0,
}

PRESETS: Final[dict[str, dict[str, Any]]] = {
    # The study's values.
    "paper": {
        "correct": 2.0,
        "wrong": -1.0,
        "wrong_na": None,
        "shaping": 0.1,
        "calibration": 0.25,
        "calibration_score": "brier",
        "alignment": 0.15,
        "alignment_form": "absolute",
        "false_na": 2.0,
        "consistency": 0.25,
        "format": 0.25,
        "warmup_steps": 50,
    },
    # Correctness plus Brier score of the stated confidence (RLCR, arXiv 2507.16806), and its format reward.
    "rlcr": {
        "correct": 1.0,
        "wrong": 0.0,
        "wrong_na": None,
        "shaping": 0.0,
        "calibration": 1.0,
        "calibration_score": "brier",
        "alignment": 0.0,
        "alignment_form": "absolute",
        "false_na": 0.0,
        "consistency": 0.0,
        "format": 1.0,
        "warmup_steps": 0,
    },
    # Ours: proper scores only. False NA and consistency would move the best answer away from the likeliest label,
    # an absolute alignment would make p the best confidence whether or not p is right.
    "candor": {
        "correct": 2.0,
        "wrong": -1.0,
        "wrong_na": None,
        "shaping": 0.0,
        "calibration": 1.0,
        "calibration_score": "brier",
        "alignment": 1.0,
        "alignment_form": "quadratic",
        "false_na": 0.0,
        "consistency": 0.0,
        "format": 1.0,
        "warmup_steps": 0,
    },
    # Others' rewards, each for the objective of the same name.
    # A Brier score of the confidence and nothing else (ConfTuner, arXiv 2508.18847).
    "conftuner": {**_NOTHING, "calibration": 1.0},
    # Correctness for the label, a distance for the confidence (DCPO, arXiv 2603.09117).
    "dcpo": {**_NOTHING, "correct": 1.0, "calibration": 1.0, "calibration_score": "absolute", "format": 1.0},
    # The logarithmic score (Rewarding Doubt, arXiv 2503.02623). Its authors charge an answer out of form about as much
    # as the worst confidence within it.
    "rewarding-doubt": {**_NOTHING, "calibration": 1.0, "calibration_score": "logarithmic", "format": 7.0},
    # Right, withheld, wrong (TruthRL, arXiv 2509.25760).
    "truthful": {**_NOTHING, "correct": 1.0, "wrong": -1.0, "wrong_na": 0.0},
}


class OwnTerm(Config):
    """A term of one's own: a function of answers, named ``module:function`` or as an installed package offers it."""

    term: str = Field(min_length=1, description="module:function, or the name of an entry point in candor.rewards")
    weight: float = Field(default=1.0, ge=-100, le=100, description="times what the function returns")
    part: Literal["label", "confidence"] = Field(
        default="label", description="with credit: split, which tokens earn it: the label's, or the confidence's"
    )

    @property
    def name(self) -> str:
        """Under which it is logged and shown: the function's, or the entry point's."""
        return short_name(self.term)


class RewardConfig(Config):
    """Values of the terms. ``preset`` fills in what is not given; the resolved recipe spells out everything."""

    preset: Literal["paper", "rlcr", "candor", "conftuner", "dcpo", "rewarding-doubt", "truthful"] = Field(
        default=DEFAULT_PRESET, description="fills in what is not given"
    )
    correct: float = Field(ge=-100, le=100, description="accuracy term of a right label")
    wrong: float = Field(ge=-100, le=100, description="accuracy term of a wrong label or none")
    wrong_na: float | None = Field(
        ge=-100, le=100, description="accuracy term of NA where gold is another label; null: as wrong"
    )
    shaping: float = Field(ge=0, le=100, description="times log p(gold)")
    calibration: float = Field(ge=0, le=100, description="times the score of the confidence")
    calibration_score: Score = Field(description="how a confidence is scored; absolute is no proper score")
    alignment: float = Field(ge=0, le=100, description="times minus the distance of confidence and p(label)")
    alignment_form: Literal["absolute", "quadratic"] = Field(description="distance: |c - p| or (c - p)^2")
    false_na: float = Field(ge=0, le=100, description="cost of NA where gold is not NA and evidence is shown")
    consistency: float = Field(ge=0, le=100, description="cost of a label that is not the likeliest by the probe")
    format: float = Field(ge=0, le=100, description="cost of an answer that is not in the asked form")
    warmup_steps: int = Field(ge=0, description="steps over which calibration and alignment ramp up from 0")
    own: list[OwnTerm] = Field(default_factory=list, description="terms of one's own, beside these")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        return fill_from_preset(values, PRESETS)

    @model_validator(mode="after")
    def _own_terms_have_names(self) -> RewardConfig:
        names = [own.name for own in self.own]
        taken = [name for name in names if name in TERMS or names.count(name) > 1]
        if taken:
            raise ValueError(f"own: {taken[0]!r} is the name of another term; call the function otherwise")
        return self

    @model_validator(mode="after")
    def _right_is_best(self) -> RewardConfig:
        for name, value in (("wrong", self.wrong), ("wrong_na", self.wrong_na)):
            if value is not None and value > self.correct:
                raise ValueError(
                    f"{name}: {value:g} is more than correct ({self.correct:g}), so that being wrong would pay"
                )
        return self
