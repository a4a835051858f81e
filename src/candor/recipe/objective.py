"""What training maximises: the ``objective`` part of a recipe, and its presets."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from candor.recipe.preset import WithPreset

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "paper": {
        "kind": "sampled",
        "divide_by_std": True,
        "credit": "whole",
        "confidence_weight": 1.0,
        "confidence_labels": "emitted",
        "confidence_entropy": 0.0,
        "log_gold": 0.0,
        "log_valid": 0.0,
        "kl": 0.0,
    },
    "candor": {
        "kind": "enumerated",
        "divide_by_std": False,
        "credit": "split",
        "confidence_weight": 40.0,
        "confidence_labels": "emitted",
        "confidence_entropy": 0.06,
        "log_gold": 3.0,
        "log_valid": 3.0,
        "kl": 0.0,
    },
}
PRESETS["rlcr"] = PRESETS["paper"]
# The same for a policy that is sampled, whose invalid answers the format term sees without a term of their own.
PRESETS["candor-sampled"] = {**PRESETS["candor"], "kind": "sampled", "confidence": "enumerated", "log_valid": 0.0}


class ObjectiveConfig(WithPreset):
    """How rewards become a gradient. ``preset`` fills in what is not given; ``docs/objective.md`` has the formulas."""

    presets: ClassVar = PRESETS

    preset: Literal["paper", "rlcr", "candor", "candor-sampled"] = "candor"
    kind: Literal["sampled", "enumerated"] = Field(
        description="sampled: clipped objective on sampled completions; enumerated: exact expectation over all answers"
    )
    clip: float = Field(default=0.2, gt=0, le=10, description="clip range of the importance ratio")
    divide_by_std: bool = Field(description="divide advantages by the standard deviation of their group")
    credit: Literal["whole", "split"] = Field(
        description="whole: every token earns the whole reward; split: label tokens earn what the label decides, "
        "confidence tokens what the confidence decides given the label"
    )
    confidence_weight: float = Field(
        ge=0, le=1000, description="weight of the confidence part where credit is split; else 1"
    )
    confidence_labels: Literal["emitted", "all"] = Field(
        description="emitted: confidences are trained behind each label as often as it is emitted; all: equally "
        "behind all three labels (enumerated, split)"
    )
    confidence: Literal["sampled", "enumerated"] = Field(
        default="sampled",
        description="sampled, split: from what the confidence part is estimated: the group's completions with the same "
        "label, or the expectation over all 101 confidences behind every sampled label",
    )
    confidence_entropy: float = Field(
        ge=0, le=10, description="entropy bonus of the confidence given the label (split), in units of the reward"
    )
    ends: Literal["all"] | Annotated[int, Field(ge=1, le=101)] = Field(
        default="all",
        description="where confidences are enumerated: how many behind each label have their end scored in a step; "
        "all: exactly every one; fewer: drawn anew each step, the others are taken to end like those on average",
    )
    log_gold: float = Field(ge=0, le=100, description="weight of the differentiable log p(gold label)")
    log_valid: float = Field(ge=0, le=100, description="weight of log(probability of all answers in form) (enumerated)")
    kl: float = Field(ge=0, le=100, description="weight of the divergence from the base model")

    @model_validator(mode="after")
    def _terms_that_act(self) -> ObjectiveConfig:
        sampled, whole = self.kind == "sampled", self.credit == "whole"
        neutral = {
            "confidence_weight": 1.0 if whole else None,
            "confidence_entropy": 0.0 if whole else None,
            "confidence_labels": "emitted" if whole or sampled else None,
            "confidence": "sampled" if whole or not sampled else None,
            "log_valid": 0.0 if sampled else None,
            "ends": "all" if sampled and self.confidence == "sampled" else None,
        }
        idle = [name for name, value in neutral.items() if value is not None and getattr(self, name) != value]
        if idle:
            told = ", ".join(f"{name}: {neutral[name]}" for name in idle)
            raise ValueError(
                f"{', '.join(idle)}: no effect with kind={self.kind} and credit={self.credit}; write {told}"
            )
        return self
