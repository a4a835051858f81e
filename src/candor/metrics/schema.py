"""The shape of results, exactly: what ``compare`` writes and what every report is built from.

Every key below is always there; a figure that cannot be had is ``None`` with a reason. NaN and infinity are never
written. ``docs/results.md`` says what each figure means.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NotRequired

from typing_extensions import TypedDict

SCHEMA: Final = 3
"""Raised when a key changes its meaning or goes away; new keys do not raise it."""

Interval = tuple[float, float]
Role = Literal["in_domain", "out_of_domain"]


class Figure(TypedDict):
    """One value; ``interval`` is [low, high] at the level in ``settings``, ``at_least`` a lower bound in its place."""

    value: float | None
    interval: Interval | None
    n: int
    reason: str | None
    at_least: NotRequired[float | None]


class Difference(TypedDict):
    """Trained minus base on the same rows; ``p`` and ``p_holm`` only for the names in ``settings.tested``.

    ``standard_error`` says how small a difference could have been seen; it is ``None`` where there is no interval.
    """

    value: float | None
    interval: Interval | None
    interval_bca: Interval | None
    standard_error: NotRequired[float | None]
    p: float | None
    p_holm: float | None
    n: int
    reason: str | None


class Test(TypedDict):
    """One classical test; ``paired`` is false where the test ignores that both files answer the same examples."""

    name: str
    method: str
    paired: bool
    statistic: float | None
    p: float | None
    n: int
    detail: dict[str, float]
    reason: str | None


class FileHeader(TypedDict):
    """Where one side of a comparison comes from; ``None`` where its file does not say."""

    path: str
    sha256: str
    format: Literal["candor", "study"]
    model: str | None
    template: str | None
    template_sha256: str | None
    dataset: str | None
    split: str | None
    seed: int | None
    created_by: str | None
    source: str | None


class Settings(TypedDict):
    """How the figures were computed."""

    resamples: int
    seed: int
    level: float
    bins: int
    log_score_clip: float
    tested: list[str]
    significance: float


class Dropped(TypedDict):
    """Rows that stand in a file and not in the figures."""

    side: Literal["base", "trained", "both"]
    reason: str
    n: int


class Rows(TypedDict):
    """What was counted."""

    base: int
    trained: int
    used: int
    groups: int
    invalid: dict[Literal["base", "trained"], int]
    without_confidence: dict[Literal["base", "trained"], int]
    gold: dict[Literal["PASS", "FAIL", "NA"], int]
    dropped: list[Dropped]


class ReliabilityBin(TypedDict):
    """Answers whose confidence lies in (low, high]; ``interval`` is Wilson's around ``accuracy``, by group."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    interval: Interval


class LabelCalibration(TypedDict):
    """Answers of one label that have a confidence: ``gap`` is their mean confidence minus their accuracy."""

    n: int
    confidence: float
    accuracy: Figure
    gap: Figure


class RiskCoverage(TypedDict):
    """One point per distinct confidence, highest first: accept every answer at least as confident.

    ``risk_low`` and ``risk_high`` are Wilson's interval around ``risk`` at each threshold, by group.
    """

    threshold: list[float]
    coverage: list[float]
    risk: list[float]
    risk_low: NotRequired[list[float]]
    risk_high: NotRequired[list[float]]
    oracle_risk: list[float]


class Histogram(TypedDict):
    """Counts of confidences between ``edges`` (one more edge than counts)."""

    edges: list[float]
    correct: list[int]
    incorrect: list[int]
    by_label: dict[Literal["PASS", "FAIL", "NA"], list[int]]
    by_gold: dict[Literal["PASS", "FAIL", "NA"], list[int]]


class Curves(TypedDict):
    """What the figures are drawn from; bins without an answer are left out of ``reliability``."""

    reliability: list[ReliabilityBin]
    risk_coverage: RiskCoverage
    histogram: Histogram


class Recalibration(TypedDict):
    """Another confidence for the base model's answers; ``trained_minus`` says whether training beats it.

    ``method`` names a fit of the stated confidence on validation (``none``: as stated), the probability of the label,
    the same with a temperature fitted on validation, the share of sampled labels that agree, or the mean of that and of
    what is stated by what is stated for all labels.
    """

    method: Literal[
        "none",
        "temperature",
        "platt",
        "isotonic",
        "label_probability",
        "scaled_label_probability",
        "agreement",
        "distractors",
    ]
    parameters: dict[str, float]
    n_fit: int
    metrics: dict[str, Figure]
    trained_minus: dict[str, Difference]
    reason: str | None


class ThresholdSide(TypedDict):
    """The abstention threshold of one model; ``bound`` is the upper bound on the risk that selected it.

    ``validation_n``, ``_accepted`` and ``_errors`` count the answers that it was chosen on, one of each group.
    """

    threshold: float | None
    validation_n: int
    validation_accepted: int
    validation_errors: int
    bound: float | None
    coverage: Figure
    risk: Figure
    reason: str | None


class Threshold(TypedDict):
    """Accept answers at least this confident, and the error stays at most ``risk`` with ``confidence``.

    That holds for claims like those of ``sources``, on whose answers in ``split`` it was chosen, all together.
    """

    risk: float
    confidence: float
    base: ThresholdSide
    trained: ThresholdSide
    sources: NotRequired[list[str]]
    split: NotRequired[str | None]
    notes: NotRequired[list[str]]


class Calibration(TypedDict):
    """``ece`` with the band where it lies if the answers are calibrated, the p of that, and the answers by label."""

    ece: float
    ece_band: Interval
    p_calibrated: float | None
    by_label: dict[str, LabelCalibration]


class Reweighted(TypedDict):
    """Figures if gold labels came in ``shares``; none, with a ``reason``, where a label with a share does not occur."""

    shares: dict[str, float]
    base: dict[str, Figure]
    trained: dict[str, Figure]
    differences: dict[str, Figure]
    reason: str | None


SkillName = Literal["brier", "log"]
ShareRows = Literal["all", "answered_by_both", "with_evidence", "probe"]


class ShareTest(TypedDict):
    """Whether a share's difference lies above ``margin``, on some of the answers: what the findings rest on.

    ``p`` is one-sided. ``discordant`` counts the groups of examples in which the two models differ; where they are too
    few ``enough`` is false, and nothing is said to hold. ``needed`` is about how many examples would decide.
    """

    figure: str
    on: ShareRows
    margin: float
    base: float | None
    trained: float | None
    difference: float | None
    interval: Interval | None
    p: float | None
    n: int
    groups: int
    discordant: int
    enough: bool
    needed: int | None
    reason: str | None


class FormChanges(TypedDict):
    """Of ``na`` NA examples, those that became NA out of an answer without a label, and the other way."""

    na: int
    na_from_no_label: int
    na_to_no_label: int


class NoEvidence(TypedDict):
    """How many examples show no evidence, and how well that alone tells NA from the others."""

    na: int
    bare_na: int
    others: int
    bare_others: int
    balanced_accuracy: float
    shortcut: bool


Outcome = Literal["holds", "does_not_hold", "undecided", "not_comparable", "holds_by_shortcut"]


class Number(TypedDict):
    """One condition of a finding on one dataset; ``needed`` is about how many examples would decide."""

    dataset: str
    condition: str
    outcome: Outcome
    value: float | None
    interval: Interval | None
    margin: float | None
    p: float | None
    n: int
    needed: int | None
    text: str


class Finding(TypedDict):
    """What is said of one hypothesis: by rule, with its numbers, and with what speaks against it."""

    hypothesis: int
    title: str
    outcome: Outcome
    text: str
    numbers: list[Number]
    against: list[str]


class OwnFigure(TypedDict):
    """A figure of one's own; ``value`` is ``None`` where it is undefined."""

    value: float | None
    interval: Interval | None


class OwnMetric(TypedDict):
    """What a function from outside says of both sides and of their difference, and which function it was."""

    spec: str
    sha256: str | None
    resamples: int
    base: OwnFigure
    trained: OwnFigure
    difference: OwnFigure


class Comparison(TypedDict):
    """Base against trained on one dataset; with ``findings`` where ``candor compare --json`` writes it alone."""

    schema: int
    kind: Literal["comparison"]
    conventions: Literal["candor", "paper"]
    dataset: str
    role: Role | None
    base: FileHeader
    trained: FileHeader
    settings: Settings
    rows: Rows
    metrics: dict[Literal["base", "trained", "bayes", "untaught"], dict[str, Figure]]
    differences: dict[str, Difference]
    tests: dict[str, Test]
    confusion: dict[Literal["base", "trained", "bayes"], list[list[int]]]
    curves: dict[Literal["base", "trained", "bayes", "base_probe", "trained_probe"], Curves]
    recalibration: list[Recalibration]
    threshold: Threshold | None
    calibration: dict[Literal["base", "trained"], Calibration | None]
    skill: dict[Literal["base", "trained"], dict[SkillName, Figure]]
    reweighted: NotRequired[Reweighted | None]
    share_tests: list[ShareTest]
    form_changes: FormChanges | None
    no_evidence: NoEvidence | None
    allowed: list[str]
    warnings: list[str]
    findings: NotRequired[list[Finding]]
    own: NotRequired[dict[str, OwnMetric]]


class RunResults(TypedDict):
    """A run's ``results.json``: one comparison per dataset, in the order of the recipe, and the findings.

    ``run`` is what the run says of itself (name, recipe, seed, versions); reports print it as it is.
    """

    schema: int
    kind: Literal["run"]
    run: dict[str, Any]
    comparisons: list[Comparison]
    findings: list[Finding]
    warnings: list[str]


class ArmsResults(TypedDict):
    """Several trained models, as ``candor compare --arms`` writes them: each one's results, and the findings of all."""

    schema: int
    kind: Literal["arms"]
    arms: list[RunResults]
    findings: list[Finding]
