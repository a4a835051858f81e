"""How models are measured: the ``evaluation`` part of a recipe."""

from __future__ import annotations

from pydantic import Field, field_validator

from candor.config import Config
from candor.errors import PredictionError


class EvaluationConfig(Config):
    """Base and trained model on the same examples."""

    max_new_tokens: int = Field(default=32, ge=1, le=65536, description="longest greedy answer, its end included")
    batch_size: int = Field(default=64, ge=1, le=65536, description="prompts in one batch")
    every_label: bool = Field(
        default=False, description="also ask the untrained model what it states behind the labels it does not choose"
    )
    resamples: int = Field(default=10_000, ge=1, le=10_000_000, description="bootstrap resamples")
    threshold_risk: float = Field(default=0.1, gt=0, lt=1, description="error allowed among accepted answers")
    threshold_confidence: float = Field(default=0.9, gt=0, lt=1, description="confidence of that guarantee")
    class_shares: dict[str, float] | None = Field(
        default=None, description="shares of PASS, FAIL and NA as users meet them, to give figures under them, too"
    )
    metrics: list[str] = Field(
        default_factory=list, description="figures of one's own: module:function, or entry points in candor.metrics"
    )

    @field_validator("resamples")
    @classmethod
    def _some_p_can_be_significant(cls, value: int) -> int:
        # Here, because reading a recipe should not cost the import.
        from candor.metrics.power import check_resamples

        try:
            check_resamples(value)
        except PredictionError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("class_shares")
    @classmethod
    def _shares_of_the_gold_labels(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        from candor.metrics.reweighting import check_shares

        try:
            if value is not None:
                check_shares(value)
        except PredictionError as error:
            raise ValueError(str(error)) from error
        return value
