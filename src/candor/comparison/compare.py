"""Base against trained on the same examples: from two prediction files to one set of results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from candor.comparison.assemble import assemble
from candor.comparison.candor_rules import CANDOR
from candor.comparison.class_shares import under_shares
from candor.comparison.own_metrics import own_metrics
from candor.comparison.pairing import load_side, match_sides
from candor.comparison.stages import Both, Draws, Fits
from candor.comparison.study_rules import STUDY
from candor.comparison.threshold import ThresholdAnswers, fit_threshold, load_threshold_answers
from candor.comparison.validation_fits import recalibration_rows, validation_answers
from candor.errors import PredictionError
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL, RESAMPLES
from candor.metrics.power import check_resamples
from candor.metrics.reweighting import check_shares

RISK: Final = 0.10
"""Default risk that the abstention threshold keeps."""


def compare_files(
    base: Path | str,
    trained: Path | str,
    *,
    paper_conventions: bool = False,
    validation: tuple[Path | str, Path | str] | None = None,
    threshold_answers: ThresholdAnswers | None = None,
    allow: Collection[str] = (),
    dataset: str | None = None,
    role: schema.Role | None = None,
    risk: float = RISK,
    risk_confidence: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    class_shares: Mapping[str, float] | None = None,
    own: Sequence[str] = (),
) -> schema.Comparison:
    """Compare two prediction files, of candor's or of the study's format, plain or gzipped.

    Args:
        base: the base model's answers.
        trained: the trained model's answers to the same examples.
        paper_conventions: drop, pair and test as the study did, to reproduce its printed digits.
        validation: both models' answers to the validation split, base first: for recalibration, and for the
            threshold unless ``threshold_answers`` is given.
        threshold_answers: both models' answers that the threshold is chosen on.
        allow: in what the files may differ all the same: ``prompt``, ``ids``, ``gold``.
        dataset: its name; as in the files' headers if not given.
        role: whether the trained model was trained on this dataset.
        risk: error rate among accepted answers that the abstention threshold keeps, in (0, 1).
        risk_confidence: probability with which it keeps it, in (0, 1).
        resamples: bootstrap resamples; so many that a p can be significant after Holm's correction, by the study's
            conventions at least 1.
        seed: the same seed and files give the same results.
        class_shares: shares of ``PASS``, ``FAIL`` and ``NA`` as users meet them, to give figures under them, too.
        own: figures of one's own, see :func:`~candor.comparison.own_metrics.own_metrics`.

    Returns:
        results as documented in ``docs/results.md``.

    Raises:
        PredictionError: a file cannot be read, the files differ in what is not allowed, no p could be significant, or
            the class shares are none.
    """
    if resamples < 1 or not 0.0 < risk < 1.0 or not 0.0 < risk_confidence < 1.0:
        raise PredictionError(
            f"resamples is {resamples}, risk {risk}, risk_confidence {risk_confidence}: "
            "needs at least 1 resample, and shares strictly between 0 and 1"
        )
    if paper_conventions and (validation is not None or threshold_answers is not None):
        raise PredictionError("the study's conventions use no validation answers; leave out one of the two")
    if class_shares is not None:
        check_shares(class_shares)
    rules = STUDY if paper_conventions else CANDOR
    if not paper_conventions:
        check_resamples(resamples)
    draws = Draws(resamples, seed)

    sides = Both(load_side(base, "base"), load_side(trained, "trained"))
    matched = match_sides(sides.base, sides.trained, allow)
    views = rules.views(sides, matched)
    figures = rules.figures(views, draws)
    significance = rules.tests(views, figures)
    fits = Fits()
    if validation is not None:
        known = validation_answers(validation[0], sides.base)
        rows = recalibration_rows(matched.base, views.paired.trained, known, resamples=draws.resamples, seed=draws.seed)
        threshold_answers = threshold_answers or load_threshold_answers([validation])
        fits = Fits(recalibration=rows)
    if threshold_answers is not None:
        threshold = fit_threshold(views, sides, threshold_answers, risk=risk, confidence=risk_confidence)
        fits = replace(fits, threshold=threshold)
    recorded = sides.base.header["dataset"] or sides.trained.header["dataset"]
    results = assemble(
        rules,
        sides,
        matched,
        views,
        figures,
        significance,
        fits,
        reweighted=under_shares(views, class_shares, draws),
        draws=draws,
        dataset=dataset or recorded or Path(trained).name.split(".")[0],
        role=role,
    )
    if own:
        results["own"] = own_metrics(own, views.paired, resamples=draws.resamples, seed=draws.seed)
    return results
