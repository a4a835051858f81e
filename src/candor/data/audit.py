"""The data audit: what shortcuts score, what repeats, how labels and lengths are spread, and what to do about it."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from candor.data.shortcuts import (
    FOLDS,
    NA_INDEX,
    SHORTCUTS,
    Floats,
    clustered_interval,
    group_folds,
    label_indexes,
)
from candor.data.text import digest, normalise_claim
from candor.types import LABELS, Example

MAX_EXAMPLES = 4_000
"""Examples of a dataset on which shortcuts are scored; of more, so many are drawn."""

MIN_EXAMPLES = 30
"""With fewer examples (or fewer groups than folds) shortcuts that learn are not scored."""

LIFT = 0.10
"""A shortcut is worth a warning when, at the lower end of its interval, it beats always giving the most common answer
by so much: the study's claim is a rise of ten points, and a shortcut could then be all of it."""

_LEARNS_NOTHING = frozenset({"majority_label", "no_evidence_is_na"})
_WHAT = {
    "no_evidence_is_na": 'the rule "no evidence shown -> NA"',
    "evidence_count": "the number of evidence sentences alone",
    "evidence_length": "the length of the evidence alone",
    "word_overlap": "word overlap of claim and evidence alone",
    "claim_only": "the claim alone, without any evidence,",
    "evidence_only": "the evidence alone, without the claim,",
}
_ADVICE = {
    "no_evidence_is_na": "Show NA examples evidence too (na_evidence: retrieved), or a model learns this rule, which "
    "holds in no other dataset.",
    "evidence_count": "Show all labels the same numbers of sentences (na_sentences: matched).",
    "evidence_length": "Show all labels evidence of the same length.",
    "word_overlap": "Report results also for examples where overlap misleads.",
    "claim_only": "Compare the trained model with one that sees no evidence before calling a gain verification.",
    "evidence_only": "Check how evidence was chosen for each label; compare with a model that sees no claim.",
}

CountTokens = Callable[[Example], int]


def audit(
    splits: Mapping[str, Mapping[str, Sequence[Example]]],
    *,
    seed: int = 0,
    count_tokens: CountTokens | None = None,
    max_length: int | None = None,
    prompt: Mapping[str, Any] | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> dict[str, Any]:
    """Audit examples before anything is trained on them.

    Args:
        splits: examples by split and dataset; shortcuts are scored per dataset over all splits together.
        seed: of the folds, and of the sample where a dataset is larger than ``max_examples``.
        count_tokens: length of an example's prompt in tokens; without it lengths are told in words alone.
        max_length: prompts longer than so many tokens would be cut.
        prompt: what prompts are measured with, or under ``unknown`` why they are not.
        max_examples: per dataset, for the shortcuts.

    Returns:
        JSON values: ``datasets`` (by name: counts, labels, evidence, ``shortcuts`` each with ``accuracy`` over the
        three labels and ``na_accuracy`` of the decision NA or not, as value, interval and n; lengths of claim and
        evidence in words, of prompts in tokens, and what would be cut), ``repeats`` across splits, ``prompt``,
        ``warnings`` in words.
    """
    by_dataset: dict[str, list[Example]] = defaultdict(list)
    for split in splits.values():
        for name, examples in split.items():
            by_dataset[name] += examples
    datasets = {
        name: _audit_dataset(examples, seed, count_tokens, max_length, max_examples)
        for name, examples in by_dataset.items()
        if examples
    }
    repeats = _repeats_across(splits)
    warnings = [words for name, result in datasets.items() for words in _warnings(name, result)]
    warnings += _repeat_warnings(repeats)
    if prompt and "unknown" in prompt and prompt.get("model"):
        warnings.append(
            f"prompt lengths in tokens are not known, nor what would be cut: {prompt['unknown']}. Lengths are given in "
            "words; for tokens make the model's tokenizer available here, or name another with --model."
        )
    return {
        "seed": seed,
        "folds": FOLDS,
        "splits": {
            split: {name: _labels(examples) for name, examples in sources.items()} for split, sources in splits.items()
        },
        "datasets": datasets,
        "repeats": repeats,
        "prompt": dict(prompt or {}),
        "warnings": warnings,
    }


def _audit_dataset(
    examples: Sequence[Example],
    seed: int,
    count_tokens: CountTokens | None,
    max_length: int | None,
    max_examples: int,
) -> dict[str, Any]:
    sample = _sample(examples, seed, max_examples)
    result: dict[str, Any] = {
        "n": len(examples),
        "groups": len({example.group for example in examples}),
        "labels": _labels(examples),
        "evidence_sources": dict(sorted(Counter(example.evidence_source for example in examples).items())),
        "evidence": _evidence(examples),
        "repeats": _repeats_within(examples),
        "scored_examples": len(sample),
        "shortcuts": _score_shortcuts(sample, seed),
    }
    result["words"] = _spread([len(" ".join((example.claim, *example.evidence)).split()) for example in examples])
    if count_tokens is not None:
        lengths = [count_tokens(example) for example in examples]
        result["prompt_tokens"] = _spread(lengths) | _cuts(examples, lengths, count_tokens, max_length)
    return result


def _spread(lengths: Sequence[int]) -> dict[str, Any]:
    return {
        "median": float(np.median(lengths)),
        "p95": float(np.quantile(lengths, 0.95)),
        "max": max(lengths),
    }


def _cuts(
    examples: Sequence[Example], lengths: Sequence[int], count_tokens: CountTokens, max_length: int | None
) -> dict[str, Any]:
    """What a model that takes so many tokens would not see: evidence sentences, from the end, until a prompt fits."""
    if max_length is None:
        return {"max_length": None, "too_long": None, "sentences_cut": None, "never_fit": None}
    too_long = [example for example, length in zip(examples, lengths, strict=True) if length > max_length]
    sentences_cut = never_fit = 0
    for example in too_long:
        for shown in reversed(range(len(example.evidence))):
            if count_tokens(dataclasses.replace(example, evidence=example.evidence[:shown])) <= max_length:
                sentences_cut += len(example.evidence) - shown
                break
        else:
            never_fit += 1
    return {
        "max_length": max_length,
        "too_long": len(too_long),
        "sentences_cut": sentences_cut,
        "never_fit": never_fit,
    }


def _sample(examples: Sequence[Example], seed: int, limit: int) -> list[Example]:
    """All examples or so many of them, chosen and ordered by a hash of seed and id."""
    return sorted(examples, key=lambda example: digest(seed, example.id))[:limit]


def _labels(examples: Iterable[Example]) -> dict[str, int]:
    counts = Counter(example.label for example in examples)
    return {label.value: counts[label] for label in LABELS}


def _evidence(examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
    """How much evidence each label is shown."""
    shown = {}
    for label in LABELS:
        mine = [example for example in examples if example.label is label]
        if mine:
            shown[label.value] = {
                "none": sum(not example.evidence for example in mine),
                "mean_sentences": float(np.mean([len(example.evidence) for example in mine])),
                "mean_words": float(np.mean([len(" ".join(example.evidence).split()) for example in mine])),
            }
    return shown


def _score_shortcuts(examples: Sequence[Example], seed: int) -> dict[str, Any]:
    labels = label_indexes(examples)
    folds = group_folds(examples, seed)
    groups = [example.group for example in examples]
    too_few = len(examples) < MIN_EXAMPLES or len(np.unique(folds)) < 2
    scores: dict[str, Any] = {}
    for name, shortcut in SHORTCUTS.items():
        if too_few and name not in _LEARNS_NOTHING:
            reason = f"too few examples or groups to cross-validate ({len(examples)}, {len(set(groups))})"
            scores[name] = {"accuracy": None, "na_accuracy": None, "reason": reason}
            continue
        probabilities: Floats = shortcut(examples, folds)
        judged = {
            "accuracy": probabilities.argmax(axis=1) == labels,
            "na_accuracy": (probabilities[:, NA_INDEX] > 0.5) == (labels == NA_INDEX),
        }
        scores[name] = {
            metric: {
                "value": float(correct.mean()),
                "interval": list(clustered_interval(correct, groups)),
                "n": len(correct),
            }
            for metric, correct in judged.items()
        }
    return scores


def _repeats_within(examples: Sequence[Example]) -> dict[str, int]:
    claims = Counter(normalise_claim(example.claim) for example in examples)
    labels: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for example in examples:
        labels[normalise_claim(example.claim), example.evidence].append(example.label)
    return {
        "claims": sum(count - 1 for count in claims.values()),
        "claims_with_evidence": sum(len(found) - 1 for found in labels.values()),
        # In the sandbox labels are drawn from a known posterior, so the same evidence may well bear two.
        "contradictions": sum(len(set(found)) > 1 for found in labels.values()) if examples[0].posterior is None else 0,
    }


def _repeats_across(splits: Mapping[str, Mapping[str, Sequence[Example]]]) -> dict[str, dict[str, int]]:
    """For each two splits that have examples: how many of the second share something with the first."""
    seen = {}
    for split, sources in splits.items():
        examples = [example for mine in sources.values() for example in mine]
        if not examples:
            continue
        seen[split] = (
            examples,
            {
                "claims": {normalise_claim(example.claim) for example in examples},
                "groups": {example.group for example in examples},
                "evidence_sentences": {sentence for example in examples for sentence in example.evidence},
            },
        )
    repeats = {}
    for first, second in itertools.combinations(seen, 2):
        keys = seen[first][1]
        examples = seen[second][0]
        repeats[f"{first}/{second}"] = {
            "claims": sum(normalise_claim(example.claim) in keys["claims"] for example in examples),
            "groups": sum(example.group in keys["groups"] for example in examples),
            "evidence_sentences": sum(
                any(sentence in keys["evidence_sentences"] for sentence in example.evidence) for example in examples
            ),
            "of": len(examples),
        }
    return repeats


def _warnings(name: str, result: Mapping[str, Any]) -> list[str]:
    words = []
    shortcuts = result["shortcuts"]
    common = {metric: shortcuts["majority_label"][metric]["value"] for metric in ("na_accuracy", "accuracy")}
    explained = dict(common)
    for shortcut, what in _WHAT.items():
        scores = shortcuts[shortcut]
        lifts = {
            metric: scores[metric]["interval"][0] - known
            for metric, known in explained.items()
            if scores[metric] is not None
        }
        if not lifts or max(lifts.values()) <= LIFT:
            continue
        metric = max(lifts, key=lambda metric: lifts[metric])
        low, high = scores[metric]["interval"]
        decides = "whether the label is NA" if metric == "na_accuracy" else "the label"
        words.append(
            f"{name}: {what} tells {decides} rightly in {scores[metric]['value']:.1%} of the examples "
            f"({low:.1%} to {high:.1%}); always giving the most common answer is right in {common[metric]:.1%}. "
            f"{_ADVICE[shortcut]}"
        )
        if shortcut == "no_evidence_is_na":
            # Absent evidence also shows in numbers, lengths, overlap and words; say it once.
            explained = {metric: max(known, scores[metric]["value"]) for metric, known in explained.items()}
    missing = [label for label, count in result["labels"].items() if not count]
    if missing:
        words.append(f"{name}: no example is labelled {' or '.join(missing)}; recall of it cannot be measured.")
    if result["repeats"]["contradictions"]:
        words.append(
            f"{name}: {result['repeats']['contradictions']} claims carry different labels for the same evidence; "
            "check them, since no model can be right on both."
        )
    tokens = result.get("prompt_tokens")
    if tokens and tokens["sentences_cut"]:
        words.append(
            f"{name}: {tokens['too_long'] - tokens['never_fit']} of {result['n']} prompts are longer than "
            f"{tokens['max_length']} tokens; evidence sentences at their ends would be cut, {tokens['sentences_cut']} "
            "in all. Raise the length or show fewer sentences."
        )
    if tokens and tokens["never_fit"]:
        words.append(
            f"{name}: {tokens['never_fit']} of {result['n']} prompts are longer than {tokens['max_length']} tokens "
            "even without any evidence, which would stop a run. Raise the length or leave these claims out."
        )
    return words


def _repeat_warnings(repeats: Mapping[str, Mapping[str, int]]) -> list[str]:
    words = []
    for pair, counts in repeats.items():
        first, second = pair.split("/")
        for what in ("claims", "groups"):
            if counts[what]:
                words.append(
                    f"{counts[what]} of {counts['of']} examples of {second} share their "
                    f"{what.removesuffix('s')} with {first}: results on {second} are not to be trusted; "
                    "draw the splits anew."
                )
        if counts["of"] and counts["evidence_sentences"] > LIFT * counts["of"]:
            words.append(
                f"{counts['evidence_sentences']} of {counts['of']} examples of {second} show an evidence sentence "
                f"that {first} shows, too; where the same sentence is shown for one label only, it can be memorised."
            )
    return words
