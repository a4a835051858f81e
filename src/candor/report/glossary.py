"""What the words of a report mean, in a sentence each: shown where a word stands, and as a list at the end."""

from __future__ import annotations

from typing import Final

TERMS: Final[dict[str, str]] = {
    "NA": 'The answer "not enough information": the evidence neither supports nor refutes the claim.',
    "NA recall": "Of the claims that lack evidence, the share that the model says NA to.",
    "NA precision": "Of the claims that the model says NA to, the share that do lack evidence.",
    "False NA": "Of the claims that could be decided, the share that the model says NA to all the same. "
    "A model that says NA to everything has 100 % here and 100 % NA recall.",
    "Accuracy": "Share of all claims whose answer is the right one of the three.",
    "Macro-F1": "Mean over the three labels of F1, which is high only if precision and recall both are. From 0 to 1.",
    "PASS recall": "Of the claims that their evidence supports, the share that the model says PASS to.",
    "FAIL recall": "Of the claims that their evidence refutes, the share that the model says FAIL to.",
    "Invalid answers": "Share of answers that hold no label; each counts as wrong.",
    "AUROC": "Chance that a right answer has a higher confidence than a wrong one. 0.5 is a coin toss, 1 is perfect.",
    "Brier score": "Mean squared distance between the confidence and 1 (right) or 0 (wrong). Lower is better.",
    "Log score": "Mean logarithm of the probability that the confidence gave to what came true. Higher is better.",
    "Calibration error": "How far the stated confidence lies from the share that is right, "
    "without what chance alone adds. Lower is better.",
    "ECE": "Expected calibration error: mean distance of confidence and share right over bins. "
    "Chance alone makes it larger than 0.",
    "Area under generalized risk-coverage": "Mean share of undetected errors over every threshold on the confidence "
    "(AUGRC). Lower is better.",
    "Spread of confidence": "Standard deviation of the stated confidence; 0 means that it is always the same.",
    "Interval": "95 % interval: made so that it holds the true value in 95 of 100 repetitions.",
    "Difference": "Trained minus base on the same examples, so that hard examples weigh on both alike.",
    "p": "How often chance alone would show so large a difference if there were none.",
    "Holm": "Correction for testing many things: the chance of any false alarm among all tests stays below the level.",
    "Bayes": "The best that any model could do on this data; known in the sandbox alone, whose world is made up.",
    "Base": "The model before training.",
    "Warm start": "The base model once it was taught the form of an answer and the labels; what training went on from.",
    "Trained": "The model after training.",
    "Arm": "One way of training; runs that differ in their seed alone are one arm.",
    "Seed": "Start of the random numbers: another seed is the same training with other chance.",
    "Threshold": "Confidence from which on an answer is accepted.",
}
"""By the word as it stands on the page."""

_ALSO: Final = {
    "AUROC of confidence": "AUROC",
    "Calibration error (RMS, debiased)": "Calibration error",
    "Error, debiased": "Calibration error",
    "Expected calibration error": "ECE",
    "p (Holm)": "Holm",
    "p (calibrated)": "p",
    "Bayes limit": "Bayes",
}


def meaning(text: str) -> str:
    """What a header means, or nothing.

    >>> meaning("NA recall, %")
    'Of the claims that lack evidence, the share that the model says NA to.'
    >>> meaning("another word")
    ''
    """
    word = text.removesuffix(", %").removeprefix("Probe: ")
    return TERMS.get(_ALSO.get(word, word), "")
