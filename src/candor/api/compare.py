"""Two models' answers compared, from prediction files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from candor.api.predictions import Predictions
from candor.api.results import Results
from candor.comparison.compare import RISK
from candor.comparison.several import arrange_files, compare_arms
from candor.metrics.bootstrap import LEVEL, RESAMPLES
from candor.report.runs import compared_run

Answers = Predictions | Path | str
"""Answers that were read, or the file that they lie in."""


def compare(
    base: Answers,
    trained: Answers,
    *,
    dataset: str | None = None,
    in_domain: bool | None = None,
    validation: tuple[Answers, Answers] | None = None,
    paper_conventions: bool = False,
    allow: Collection[str] = (),
    risk: float = RISK,
    risk_confidence: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Results:
    """Compare two models' answers to the same examples; the second is judged against the first.

    Args:
        base: the answers that are compared with: of the base model, or of any other.
        trained: the answers that are judged.
        dataset: its name; as in the files if not given.
        in_domain: whether the judged model was trained on this dataset; ``None`` leaves it open, and with it some
            of the findings.
        validation: both models' answers to other examples of it, to recalibrate and to choose the threshold on.
        paper_conventions: drop, pair and test as the published study did.
        allow: in what the files may differ all the same: ``prompt``, ``dataset``, ``split``, ``ids``, ``gold``.
        risk: error rate among accepted answers that the abstention threshold keeps, in (0, 1).
        risk_confidence: probability with which it keeps it, in (0, 1).
        resamples: bootstrap resamples.
        seed: the same seed and files give the same results.

    Raises:
        PredictionError: a file cannot be read, or the files differ in what is not allowed.
    """
    (arm,) = arrange_files(
        [_file(base), _file(trained)],
        datasets=[] if dataset is None else [dataset],
        role=None if in_domain is None else "in_domain" if in_domain else "out_of_domain",
        validation=[] if validation is None else [(_file(validation[0]), _file(validation[1]))],
    )
    (results,) = compare_arms(
        [arm],
        paper_conventions=paper_conventions,
        allow=allow,
        risk=risk,
        risk_confidence=risk_confidence,
        resamples=resamples,
        seed=seed,
    )
    return Results((compared_run(results, arm),))


def _file(answers: Answers) -> Path:
    return answers.path if isinstance(answers, Predictions) else Path(answers)
