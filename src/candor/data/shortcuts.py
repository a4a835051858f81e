"""What can be scored without reading: each shortcut as class probabilities, cross-validated where it learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from candor.data.text import digest, words_of
from candor.types import LABELS, Example, Label

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

NA_INDEX = LABELS.index(Label.NA)
FOLDS = 5
BINS = 10
"""Quantile bins of a length or a share."""


def label_indexes(examples: Sequence[Example]) -> Ints:
    """Position of each example's label in :data:`LABELS`, shape [N]."""
    return np.array([LABELS.index(example.label) for example in examples], dtype=np.int64)


def group_folds(examples: Sequence[Example], seed: int) -> Ints:
    """Fold of each example, shape [N]; a group is in one fold, whatever the order of examples."""
    return np.array([int(digest(seed, example.group)[:8], 16) % FOLDS for example in examples])


def majority_label(examples: Sequence[Example], folds: Ints) -> Floats:
    """The most common label, for all."""
    return np.tile(_shares(label_indexes(examples)), (len(examples), 1))


def no_evidence_is_na(examples: Sequence[Example], folds: Ints) -> Floats:
    """NA where no evidence is shown; elsewhere the most common label of those with evidence."""
    shown = np.array([bool(example.evidence) for example in examples])
    # Never NA where something is shown: the rule is tested, not what else could be learned.
    shares = _shares(label_indexes(examples)[shown], without=NA_INDEX)
    return np.where(shown[:, None], shares, np.eye(len(LABELS))[NA_INDEX])


def evidence_count(examples: Sequence[Example], folds: Ints) -> Floats:
    """The most common label for the number of evidence sentences."""
    counts = np.array([min(len(example.evidence), 20) for example in examples])
    return _learned(examples, folds, lambda train: _lookup(counts, train, label_indexes(examples)))


def evidence_length(examples: Sequence[Example], folds: Ints) -> Floats:
    """The most common label for the number of words of evidence, in tenths."""
    lengths = np.array([len(" ".join(example.evidence).split()) for example in examples], dtype=np.float64)
    return _binned(examples, folds, lengths)


def word_overlap(examples: Sequence[Example], folds: Ints) -> Floats:
    """The most common label for the share of the claim's words that the evidence repeats, in tenths."""
    shares = []
    for example in examples:
        claim = set(words_of(example.claim).split())
        evidence = set(words_of(" ".join(example.evidence)).split())
        shares.append(len(claim & evidence) / max(1, len(claim)))
    return _binned(examples, folds, np.array(shares))


def claim_only(examples: Sequence[Example], folds: Ints) -> Floats:
    """Logistic regression on the claim's words (TF-IDF)."""
    return _text_model(examples, folds, [example.claim for example in examples])


def evidence_only(examples: Sequence[Example], folds: Ints) -> Floats:
    """Logistic regression on the evidence's words (TF-IDF)."""
    return _text_model(examples, folds, [" ".join(example.evidence) for example in examples])


SHORTCUTS: dict[str, Callable[[Sequence[Example], Ints], Floats]] = {
    "majority_label": majority_label,
    "no_evidence_is_na": no_evidence_is_na,
    "evidence_count": evidence_count,
    "evidence_length": evidence_length,
    "word_overlap": word_overlap,
    "claim_only": claim_only,
    "evidence_only": evidence_only,
}
"""From examples and their folds to class probabilities, shape [N, 3]."""


def clustered_interval(correct: NDArray[np.bool_], groups: Sequence[str], z: float = 1.959964) -> tuple[float, float]:
    """95 % Wilson interval of a rate whose observations come in groups.

    The number of observations is divided by the design effect, the factor by which the groups widen the variance
    (Korn and Graubard, 1998). Where all observations agree that factor is unknown; each group then counts once. It is
    our own since scipy's binomtest takes whole counts alone, and the number of observations is none here.

    >>> low, high = clustered_interval(np.array([True] * 4), ["a", "b", "c", "d"])
    >>> round(low, 3), round(high, 3)
    (0.51, 1.0)
    """
    n = len(correct)
    rate = float(correct.mean())
    _, number = np.unique(np.array(groups), return_inverse=True)
    group_count = int(number.max()) + 1
    effective = float(group_count)
    if 0 < rate < 1 and group_count > 1:
        residuals = np.bincount(number, weights=correct - rate)
        variance = float((residuals**2).sum()) / n**2 * group_count / (group_count - 1)
        effective = min(float(n), rate * (1 - rate) / variance) if variance else float(n)
    scale = 1 + z**2 / effective
    centre = (rate + z**2 / (2 * effective)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / effective + z**2 / (4 * effective**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _shares(labels: Ints, without: int | None = None) -> Floats:
    counts = np.bincount(labels, minlength=len(LABELS)).astype(np.float64)
    if without is not None:
        counts[without] = 0
    # No examples at all: nothing is known, and NA is not to be said.
    if not counts.sum():
        counts[[index for index in range(len(LABELS)) if index != without]] = 1
    shares: Floats = counts / counts.sum()
    return shares


def _learned(examples: Sequence[Example], folds: Ints, fit: Callable[[NDArray[np.bool_]], Floats]) -> Floats:
    """Probabilities of each fold from the other folds; ``fit(train)`` gives them for all examples."""
    probabilities = np.empty((len(examples), len(LABELS)))
    for fold in np.unique(folds):
        test = folds == fold
        # With one group there is nothing to learn from.
        probabilities[test] = 1 / len(LABELS) if test.all() else fit(~test)[test]
    return probabilities


def _lookup(values: Ints, train: NDArray[np.bool_], labels: Ints) -> Floats:
    """Label shares of each value among the training examples; of all of them where a value is new."""
    table = np.zeros((int(values.max()) + 1, len(LABELS)))
    np.add.at(table, (values[train], labels[train]), 1)
    totals = table.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, table / np.maximum(totals, 1), _shares(labels[train]))
    return shares[values]


def _binned(examples: Sequence[Example], folds: Ints, values: Floats) -> Floats:
    labels = label_indexes(examples)

    def fit(train: NDArray[np.bool_]) -> Floats:
        edges = np.unique(np.quantile(values[train], np.linspace(0, 1, BINS + 1)[1:-1]))
        return _lookup(np.searchsorted(edges, values, side="right").astype(np.int64), train, labels)

    return _learned(examples, folds, fit)


def _text_model(examples: Sequence[Example], folds: Ints, texts: Sequence[str]) -> Floats:
    labels = label_indexes(examples)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=20_000)
    try:
        # Words are counted over all folds, labels are not seen; only the regression has to be cross-validated.
        features = vectorizer.fit_transform(texts)
    except ValueError:  # no word occurs twice
        features = None

    def fit(train: NDArray[np.bool_]) -> Floats:
        if features is None or len(np.unique(labels[train])) == 1:
            return np.tile(_shares(labels[train]), (len(texts), 1))
        model = OneVsRestClassifier(LogisticRegression(C=3.0, solver="liblinear"))
        model.fit(features[train], labels[train])
        probabilities = np.zeros((len(texts), len(LABELS)))
        probabilities[:, model.classes_] = model.predict_proba(features)
        return probabilities

    return _learned(examples, folds, fit)
