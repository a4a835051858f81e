"""What training maximises: the ``objective`` part of a recipe, and its presets.

It is one of ten shapes, told apart by ``kind``; where answers are rewarded by ``credit`` and, where a sampled
objective splits it, ``confidence``; where they are shown by ``taught_confidence``. Each has the values that act in it
and no others, so that a value without effect cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter

from candor.config import Config
from candor.recipe.preset import DEFAULT_PRESET, fill_from_preset

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "paper": {
        "kind": "sampled",
        "divide_by_std": True,
        "credit": "whole",
        "log_gold": 0.0,
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
PRESETS["rlcr"] = PRESETS["truthful"] = PRESETS["paper"]
PRESETS["sft"] = {"kind": "supervised", "taught_confidence": "constant", "constant_confidence": 0.7}
# The same for a policy that is sampled, whose invalid answers the format term sees without a term of their own.
PRESETS["candor-sampled"] = {**PRESETS["candor"], "kind": "sampled", "confidence": "enumerated"}

# What others do to the confidence behind a model's own answers. The first two leave the label as it is.
_CONFIDENCE_ALONE: Final = {
    "divide_by_std": False,
    "credit": "split",
    "label_weight": 0.0,
    "confidence_weight": 1.0,
    "confidence_entropy": 0.0,
    "log_gold": 0.0,
    "kl": 0.0,
}
# ConfTuner (arXiv 2508.18847): the expected Brier score over the tokens of the confidence behind the model's answer.
PRESETS["conftuner"] = {**_CONFIDENCE_ALONE, "kind": "enumerated", "confidence_labels": "likeliest", "log_valid": 0.0}
# Rewarding Doubt (arXiv 2503.02623): a policy gradient on the confidence of sampled answers.
PRESETS["rewarding-doubt"] = {**_CONFIDENCE_ALONE, "kind": "sampled", "confidence": "sampled"}
# DCPO (arXiv 2603.09117): label and confidence earn apart, the confidence by its distance from what was right: half of
# that is this answer, half its group's share of right ones.
PRESETS["dcpo"] = {
    **PRESETS["rewarding-doubt"],
    "divide_by_std": True,
    "label_weight": 1.0,
    "confidence_baseline": "group",
    "group_share": 0.5,
}
# The share of the model's own samples that agree (arXiv 2510.05126).
PRESETS["consistency"] = {"kind": "supervised", "taught_confidence": "agreement", "samples": 8}
# What a linear probe of hidden states makes of the model's own answer (PT-CSFT, Zenodo 20436841).
PRESETS["probe-distilled"] = {"kind": "supervised", "taught_confidence": "probe"}

Preset: TypeAlias = Literal[
    "paper",
    "rlcr",
    "candor",
    "candor-sampled",
    "sft",
    "conftuner",
    "dcpo",
    "rewarding-doubt",
    "truthful",
    "consistency",
    "probe-distilled",
]

Ends: TypeAlias = Literal["all"] | Annotated[int, Field(ge=1, le=101)]

ENDS: Final = 4
"""Ends behind each label that are scored in a step. On a pretrained model the gradient was off by less than 5e-4 of its
norm, for two fifths of the work of scoring all."""


class _Objective(Config):
    """How rewards become a gradient. ``preset`` fills in what is not given; ``docs/objective.md`` has the formulas."""

    preset: Preset = Field(default=DEFAULT_PRESET, description="fills in what is not given")
    divide_by_std: bool = Field(description="divide advantages by the standard deviation of their group")
    log_gold: float = Field(ge=0, le=100, description="weight of the differentiable log p(gold label)")
    kl: float = Field(ge=0, le=100, description="weight of the divergence from the base model")


class _Sampled(_Objective):
    kind: Literal["sampled"] = Field(description="policy gradient on sampled completions")


class _Enumerated(_Objective):
    kind: Literal["enumerated"] = Field(description="exact expectation over all answers")
    ends: Ends = Field(
        default=ENDS,
        description="how many answers behind each label have their end scored in a step; all: exactly every one; "
        "fewer: drawn anew each step, the others are taken to end like those on average",
    )
    log_valid: float = Field(ge=0, le=100, description="weight of log(probability of all answers in form)")


class _Whole(Config):
    credit: Literal["whole"] = Field(description="every token earns the whole reward")


class _Split(Config):
    credit: Literal["split"] = Field(
        description="label tokens earn what the label decides, confidence tokens what the confidence decides given it"
    )
    label_weight: float = Field(default=1.0, ge=0, le=1000, description="weight of the label part")
    confidence_weight: float = Field(ge=0, le=1000, description="weight of the confidence part")
    confidence_entropy: float = Field(
        ge=0, le=10, description="entropy bonus of the confidence given the label, in units of the reward"
    )


class SampledWhole(_Sampled, _Whole):
    """Sampled completions, of which every token earns the whole reward: the study's objective."""


class SampledSplit(_Sampled, _Split):
    """Sampled completions; the confidence earns among those of its group."""

    confidence: Literal["sampled"] = Field(default="sampled", description="from the group's completions")
    confidence_baseline: Literal["label", "group"] = Field(
        default="label",
        description="what a confidence earns beyond: completions with the same label, or the group's all",
    )
    group_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="how much of what a confidence is scored against is the group's share of right answers, and not "
        "whether this one is",
    )


class SampledExpected(_Sampled, _Split):
    """Sampled completions; behind every sampled label the confidence earns in expectation over all 101."""

    confidence: Literal["enumerated"] = Field(description="in expectation over all 101 confidences")
    ends: Ends = Field(default=ENDS, description="how many confidences behind each label have their end scored")


class EnumeratedWhole(_Enumerated, _Whole):
    """The expected reward over all answers."""


class EnumeratedSplit(_Enumerated, _Split):
    """The expected reward of the label, and of the confidence given the label."""

    confidence_labels: Literal["emitted", "likeliest", "all"] = Field(
        description="emitted: confidences are trained behind each label as often as it is emitted; likeliest: behind "
        "the one that greedy decoding gives; all: equally behind all three labels"
    )


class _Supervised(Config):
    """Cross-entropy on answers with the gold label: the model is shown what to say, and nothing is rewarded."""

    preset: Preset = Field(default=DEFAULT_PRESET, description="fills in what is not given")
    kind: Literal["supervised"] = Field(description="cross-entropy on the tokens of an answer with the gold label")


class _ShownGold(_Supervised):
    label_weight: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="weight of the tokens that tell the label; those of form and confidence count 1",
    )


class SupervisedConstant(_ShownGold):
    """Every answer that is shown states the same confidence."""

    taught_confidence: Literal["constant"] = Field(description="the same in every answer")
    constant_confidence: float = Field(ge=0, le=1, description="that confidence; answers state two decimals of it")


class SupervisedDrawn(_ShownGold):
    """Every answer that is shown states one of the 101 confidences, drawn anew each time.

    It teaches the form and no confidence in particular: each is left about as likely as any other, so that a training
    on rewards can raise whichever it wants.
    """

    taught_confidence: Literal["drawn"] = Field(description="any of the 101, drawn anew each time")


class SupervisedCrossFitted(_ShownGold):
    """Every answer states what models that have not seen its group say for the probability of its label."""

    taught_confidence: Literal["cross_fitted"] = Field(
        description="the label's probability under a model trained in the same way on the groups of the other folds"
    )
    folds: int = Field(default=5, ge=2, le=20, description="parts that the groups are dealt into")


class SupervisedAgreement(_Supervised):
    """The model's own sampled answers are shown, each with the share of samples that agree; labels learn nothing."""

    taught_confidence: Literal["agreement"] = Field(
        description="the share of the model's own samples with the same label; no gold label is looked at"
    )
    samples: int = Field(default=8, ge=2, le=100, description="answers that are sampled for each prompt")


class SupervisedProbe(_Supervised):
    """The model's own likeliest label is shown, with what a probe of its hidden states gives for its being right."""

    taught_confidence: Literal["probe"] = Field(
        description="the probability that the model's own label is right, by a linear probe of the hidden state behind "
        "it, fitted on validation examples before training; labels learn nothing"
    )


SupervisedConfig: TypeAlias = (
    SupervisedConstant | SupervisedDrawn | SupervisedCrossFitted | SupervisedAgreement | SupervisedProbe
)
SampledConfig: TypeAlias = SampledWhole | SampledSplit | SampledExpected
EnumeratedConfig: TypeAlias = EnumeratedWhole | EnumeratedSplit
RewardedConfig: TypeAlias = SampledConfig | EnumeratedConfig
Shape: TypeAlias = RewardedConfig | SupervisedConfig

_SHAPES: Final[dict[tuple[str, ...], type[Shape]]] = {
    ("sampled", "whole"): SampledWhole,
    ("sampled", "split", "sampled"): SampledSplit,
    ("sampled", "split", "enumerated"): SampledExpected,
    ("enumerated", "whole"): EnumeratedWhole,
    ("enumerated", "split"): EnumeratedSplit,
    ("supervised", "constant"): SupervisedConstant,
    ("supervised", "drawn"): SupervisedDrawn,
    ("supervised", "cross_fitted"): SupervisedCrossFitted,
    ("supervised", "agreement"): SupervisedAgreement,
    ("supervised", "probe"): SupervisedProbe,
}
_TELLING: Final = {
    "sampled": ("kind", "credit", "confidence"),
    "enumerated": ("kind", "credit"),
    "supervised": ("kind", "taught_confidence"),
}
_FIELDS: Final = frozenset(name for shape in _SHAPES.values() for name in shape.model_fields)
_GONE: Final = frozenset({"clip"})
"""Values of earlier versions. A batch is updated on once, so there was never a ratio to clip."""


def _place(values: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells the shapes apart, of values whose preset has been filled in."""

    def chosen(name: str, *known: str) -> str:
        value = values.get(name, known[0])
        if value not in known:
            words = f"neither {known[0]} nor {known[1]}" if len(known) == 2 else f"none of {', '.join(known)}"
            raise ValueError(f"{name}: {value!r} is {words}")
        return str(value)

    kind = chosen("kind", "sampled", "enumerated", "supervised")
    if kind == "supervised":
        return kind, chosen("taught_confidence", "constant", "drawn", "cross_fitted", "agreement", "probe")
    credit = chosen("credit", "whole", "split")
    if (kind, credit) != ("sampled", "split"):
        return kind, credit
    return kind, credit, chosen("confidence", "sampled", "enumerated")


def _complete(values: Any) -> Any:
    """Fill in what the preset has for the shape that was chosen, and refuse what would have no effect there."""
    if not isinstance(values, Mapping):
        return values
    if values.get("preset", DEFAULT_PRESET) not in PRESETS:
        raise ValueError(f"preset: {values['preset']!r} is none of {', '.join(PRESETS)}")
    filled = fill_from_preset(values, PRESETS)
    place = _place(filled)
    acting = _SHAPES[place].model_fields
    idle = [name for name in values if name in _FIELDS | _GONE and name not in acting]
    if idle:
        chosen = " and ".join(f"{name}={value}" for name, value in zip(_TELLING[place[0]], place, strict=False))
        raise ValueError(f"{', '.join(idle)}: no effect with {chosen}; leave {'it' if len(idle) == 1 else 'them'} out")
    return {name: value for name, value in filled.items() if name in values or name in acting}


def _tag(values: Any) -> str | None:
    if isinstance(values, Config):
        return type(values).__name__
    return _SHAPES[_place(values)].__name__ if isinstance(values, Mapping) else None


ObjectiveConfig: TypeAlias = Annotated[
    Annotated[SampledWhole, Tag("SampledWhole")]
    | Annotated[SampledSplit, Tag("SampledSplit")]
    | Annotated[SampledExpected, Tag("SampledExpected")]
    | Annotated[EnumeratedWhole, Tag("EnumeratedWhole")]
    | Annotated[EnumeratedSplit, Tag("EnumeratedSplit")]
    | Annotated[SupervisedConstant, Tag("SupervisedConstant")]
    | Annotated[SupervisedDrawn, Tag("SupervisedDrawn")]
    | Annotated[SupervisedCrossFitted, Tag("SupervisedCrossFitted")]
    | Annotated[SupervisedAgreement, Tag("SupervisedAgreement")]
    | Annotated[SupervisedProbe, Tag("SupervisedProbe")],
    Discriminator(
        _tag,
        custom_error_type="objective",
        custom_error_message="a mapping is expected, as in objective: {preset: candor}",
    ),
    BeforeValidator(_complete),
]

_ADAPTER: Final[TypeAdapter[Shape]] = TypeAdapter(ObjectiveConfig)


def objective_config(values: Mapping[str, Any]) -> Shape:
    """Check an objective's values and fill in those of its preset.

    Raises:
        pydantic.ValidationError: a value is unknown, out of range or without effect.
    """
    return _ADAPTER.validate_python(values)


def without_idle(values: Mapping[str, Any]) -> dict[str, Any]:
    """An objective's values but for those without effect, in its shape or at all, which earlier versions wrote out."""
    acting = _SHAPES[_place(fill_from_preset(values, PRESETS))].model_fields
    idle = (_FIELDS | _GONE) - acting.keys()
    return {name: value for name, value in values.items() if name not in idle}
