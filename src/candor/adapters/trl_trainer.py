"""TRL's GRPO trainer with split credit, and with the stated confidence in expectation.

    trainer = ConfidenceGRPOTrainer(model, correctness=is_right, confidence_anchor="CONF=", args=..., train_dataset=...)

Three things differ from TRL's own. The tokens of the stated number earn nothing of what the answer earns, so that a
confidence is not made likelier because the answer before it was right. In their place the number earns the expected
Brier score over all 101 confidences from 0.00 to 1.00, exactly, behind every answer that was sampled: no confidence has
to be tried. And that the number is one of these 101 has a term of its own. Everything else is TRL's: sampling, groups,
rewards, clipping, logging. It departs in two of TRL's methods, and advantages of shape (B, T) are what those expect of
subclasses.

ConfTuner (arXiv 2508.18847) trains the expected Brier score over confidence tokens, too; RLCR (arXiv 2507.16806) takes
the score as a reward.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from candor.adapters.confidence_tree import ConfidenceTree, check_tree, confidence_logprobs
from candor.errors import CandorError, DataError, RecipeError, install_line
from candor.prompts.answers import CONFIDENCES
from candor.prompts.encoding import decode, tokens_covering
from candor.prompts.probe import split_before

try:
    from trl import GRPOTrainer
except ImportError as error:
    raise CandorError(
        f"candor.adapters.trl_trainer needs TRL; install it with: {install_line('bench')}, or pip install 'trl>=1.16'"
    ) from error

NUMBER: Final = re.compile(r"0\.\d\d|1\.00", re.ASCII)
"""A confidence as it is asked for. What stands behind it (a third digit, a closing tag) is none of the number."""

WEIGHT: Final = 4.0
"""Of the confidence. candor's own recipe has 40 beside sums over tokens; TRL takes means, over some ten tokens."""
ENTROPY: Final = 0.06
VALID: Final = 0.3


class ConfidenceGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO for answers that state how sure they are."""

    def __init__(
        self,
        model: Any,
        *,
        correctness: Callable[..., Sequence[float | None]],
        confidence_anchor: str = "CONF=",
        reward_funcs: Any = (),
        confidence_weight: float = WEIGHT,
        confidence_entropy: float = ENTROPY,
        log_valid: float = VALID,
        **options: Any,
    ) -> None:
        """Take what ``GRPOTrainer`` takes, and what is said of the confidence.

        Args:
            model: as for ``GRPOTrainer``.
            correctness: a TRL reward function: 1 where the answer is right, 0 where it is wrong, or between; ``None``
                where that is not known. It is the first of the rewards, too.
            confidence_anchor: text behind whose last occurrence the confidence stands, as ``0.00`` to ``1.00``. In an
                answer without it every token earns what the answer earns.
            reward_funcs: further rewards of the answer, such as one for its form; none for the confidence, which has
                a term of its own.
            confidence_weight: of the expected Brier score, at least 0.
            confidence_entropy: bonus on the entropy of the 101 confidences, at least 0.
            log_valid: weight of the log-probability that the number is one of the 101, at least 0.
            **options: as for ``GRPOTrainer``: ``args``, ``train_dataset``, ``processing_class``, ``peft_config`` ...

        Raises:
            RecipeError: a weight is below 0, or the anchor is empty.
        """
        weights = {
            "confidence_weight": confidence_weight,
            "confidence_entropy": confidence_entropy,
            "log_valid": log_valid,
        }
        for name, value in weights.items():
            if value < 0:
                raise RecipeError(f"{name} is {value:g}; it is at least 0")
        if not confidence_anchor:
            raise RecipeError("confidence_anchor is empty; give the text that stands before the confidence")
        further = list(reward_funcs) if isinstance(reward_funcs, list | tuple) else [reward_funcs]
        self._confidence_anchor = confidence_anchor
        self._confidence_weights = weights
        self._answer_correct: torch.Tensor | None = None
        self._confidence_trees: dict[str, ConfidenceTree] = {}
        self._tree_checked = False
        super().__init__(model, reward_funcs=[correctness, *further], **options)
        self._words = getattr(self.processing_class, "tokenizer", self.processing_class)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        """Keep what the first reward function says: which answers are right."""
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        own = slice(self.accelerator.process_index * len(prompts), (self.accelerator.process_index + 1) * len(prompts))
        correct = rewards[own, 0].clone()
        known = correct[~torch.isnan(correct)]
        if ((known < 0) | (known > 1)).any():
            wrong = known[(known < 0) | (known > 1)][0]
            raise DataError(f"correctness gave {float(wrong):g}; it is from 0 (wrong) to 1 (right), or None")
        self._answer_correct = correct
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Take the answer's advantage off the tokens of the number."""
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        spans = [self._number(tokens) for tokens in _unpadded(output["completion_ids"], output["completion_mask"])]
        advantages = output["advantages"][:, None].repeat(1, output["completion_ids"].shape[1])
        for row, (start, end) in enumerate(spans):
            advantages[row, start:end] = 0.0
        return {**output, "advantages": advantages, "correct": self._answer_correct}

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """TRL's loss of the answers, and the confidence's."""
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        scale = self.current_gradient_accumulation_steps if self.model.training else 1
        return loss + self._confidence_loss(model, inputs) / scale

    def _confidence_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Mean over the answers; 0 for those that state no confidence or whose correctness is not known."""
        answers = _unpadded(inputs["completion_ids"], inputs["completion_mask"])
        prompts = _unpadded(inputs["prompt_ids"], inputs["prompt_mask"])
        by_tree: dict[str, list[tuple[tuple[int, ...], float]]] = {}
        for prompt, answer, correct in zip(prompts, answers, inputs["correct"].tolist(), strict=True):
            place = decode(self._words, answer).rfind(self._confidence_anchor)
            if place >= 0 and correct == correct:
                kept, lead = split_before(self._words, answer, place + len(self._confidence_anchor))
                by_tree.setdefault(lead, []).append(((*prompt, *kept), correct))
        losses, figures = [], {"brier": 0.0, "entropy": 0.0, "valid": 0.0}
        for lead, rows in by_tree.items():
            terms = self._terms(model, lead, rows)
            losses.append(
                self._confidence_weights["confidence_weight"]
                * (terms["brier"] - self._confidence_weights["confidence_entropy"] * terms["entropy"])
                - self._confidence_weights["log_valid"] * terms["log_valid"]
            )
            for name in figures:
                each = terms["log_valid"].exp() if name == "valid" else terms[name]
                figures[name] += float(each.detach().sum())
        scored = sum(map(len, by_tree.values()))
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["confidence/left_out"].append(1 - scored / len(answers))
        for name, total in figures.items():
            if scored:
                self._metrics[mode][f"confidence/{name}"].append(total / scored)
        return torch.cat(losses).sum() / len(answers) if losses else inputs["correct"].new_zeros(())

    def _terms(self, model: Any, lead: str, rows: Sequence[tuple[tuple[int, ...], float]]) -> dict[str, torch.Tensor]:
        """Of each row the expected Brier score, the entropy of the confidence and log p(it is one of the 101)."""
        tree = self._confidence_trees.setdefault(lead, ConfidenceTree.of(self._words, lead))
        if not self._tree_checked:
            check_tree(model, rows[0][0], tree)
            self._tree_checked = True
        # What several answers begin with is run once.
        different = list(dict.fromkeys(tokens for tokens, _ in rows))
        found = confidence_logprobs(model, different, tree, temperature=self.temperature)
        return confidence_terms(
            found[[different.index(tokens) for tokens, _ in rows]],
            torch.tensor([correct for _, correct in rows], device=found.device),
        )

    def _number(self, tokens: Sequence[int]) -> tuple[int, int]:
        """Start and end of the tokens of the stated number; both 0 where there is none."""
        text = decode(self._words, tokens)
        place = text.rfind(self._confidence_anchor)
        found = NUMBER.match(text, place + len(self._confidence_anchor)) if place >= 0 else None
        if found is None:
            return 0, 0
        start, _ = split_before(self._words, tokens, found.start())
        return len(start), tokens_covering(self._words, tokens, found.end())


def confidence_terms(logprobs_B_C: torch.Tensor, correct_B: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the confidence's loss is made of, each of shape ``[B]``.

    >>> even = torch.full((1, 101), 1 / 101).log()
    >>> terms = confidence_terms(even, torch.tensor([1.0]))
    >>> round(float(terms["brier"]), 4), round(float(terms["log_valid"]), 4)
    (0.335, 0.0)

    Args:
        logprobs_B_C: log-probability of every confidence behind each answer.
        correct_B: whether each answer is right, in [0, 1].
    """
    stated = torch.tensor(CONFIDENCES, dtype=logprobs_B_C.dtype, device=logprobs_B_C.device)
    log_valid = logprobs_B_C.logsumexp(-1)
    log_confidence = logprobs_B_C - log_valid[:, None]
    confidence = log_confidence.exp()
    return {
        "brier": (confidence * (stated - correct_B[:, None]) ** 2).sum(-1),
        "entropy": -(confidence * log_confidence).sum(-1),
        "log_valid": log_valid,
    }


def _unpadded(ids: torch.Tensor, mask: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(row[kept.bool()].tolist()) for row, kept in zip(ids, mask, strict=True)]
