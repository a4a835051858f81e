"""The reward's seven terms as TRL ``reward_funcs``: ``f(prompts, completions, completion_ids, **columns)``.

    from candor.adapters.trl import model_probe, reward_funcs, weighted_reward
    trainer = GRPOTrainer(model, reward_funcs=reward_funcs("paper", probe=model_probe(model, tokenizer)), ...)

The dataset needs a column with the gold label and one with the evidence sentences that the prompt shows. A completion
without a readable label is wrong and is scored as such; ``None`` stands only where there is nothing to score by: no
gold label, or for a term that needs p(label), no probe. Nothing here imports TRL.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candor.adapters.verdict_reward import NEED_PROBE, UNKNOWN_PROBS, reward_config
from candor.engines.local.engine import LocalEngine
from candor.errors import DataError
from candor.prompts import templates
from candor.prompts.answers import parse
from candor.prompts.encoding import encode_text
from candor.prompts.probe import LABEL_PROBE, label_probs, probe_site
from candor.recipe.engine import EngineConfig
from candor.recipe.reward import TERMS, RewardConfig
from candor.training.rewards import Rewards, score
from candor.types import LABELS, NO_LABEL, Validity

RewardFunc: TypeAlias = Callable[..., "list[float | None]"]
Probe: TypeAlias = Callable[[Sequence[Any], Sequence[Sequence[int]]], NDArray[np.float64]]
"""From N prompts and completions (as token ids) to p(PASS), p(FAIL), p(NA) where each emits its label, shape N 3."""


def reward_funcs(
    preset: str | RewardConfig = "candor",
    *,
    template: str = "verdict",
    label_column: str = "label",
    evidence_column: str = "evidence",
    probe: Probe | None = None,
    stop_token_ids: Collection[int] | None = None,
) -> list[RewardFunc]:
    """Return one reward function for each of the seven terms, named ``candor_accuracy``, ``candor_shaping`` and so on.

    Their sum is the reward, so leave TRL's ``reward_weights`` at 1. Terms whose weight is 0 are left out.

    Args:
        preset: ``paper``, ``rlcr``, ``candor``, or a configuration of one's own.
        template: the prompt template, which gives the form of the answer.
        label_column: the dataset's column of gold labels: PASS, FAIL, NA, or ``None`` for unknown.
        evidence_column: the column of evidence sentences that the prompt shows.
        probe: gives p(label); without one the terms that need it are left out.
        stop_token_ids: tokens that end a completion; given these, one that ran into the length limit is not in the
            asked form.

    Raises:
        RecipeError: there is no such preset.
        PromptError: there is no such template.
    """
    scorer = _Scorer(reward_config(preset), template, label_column, evidence_column, probe, stop_token_ids)
    return [_named(f"candor_{term}", scorer.term(term)) for term in scorer.terms]


def weighted_reward(
    preset: str | RewardConfig = "candor",
    *,
    template: str = "verdict",
    label_column: str = "label",
    evidence_column: str = "evidence",
    probe: Probe | None = None,
    stop_token_ids: Collection[int] | None = None,
) -> RewardFunc:
    """Return the whole reward as one function, named ``candor_paper`` and the like.

    Arguments and errors as of :func:`reward_funcs`.
    """
    config = reward_config(preset)
    scorer = _Scorer(config, template, label_column, evidence_column, probe, stop_token_ids)
    return _named(f"candor_{config.preset}", scorer.total)


def label_correctness(template: str = "verdict", *, label_column: str = "label") -> RewardFunc:
    """Whether the label of a completion is the gold one, as a reward function: 1 or 0, ``None`` without a gold label.

    Raises:
        PromptError: there is no such template.
    """
    scorer = _Scorer(RewardConfig.model_validate({"preset": "rlcr"}), template, label_column, label_column, None, None)
    return _named("correct", scorer.term("accuracy"))


def in_form(template: str = "verdict") -> RewardFunc:
    """Whether a completion is exactly in the asked form, as a reward function: 1 or 0.

    Raises:
        PromptError: there is no such template.
    """
    asked = templates.get(template)

    def clean(_: Any, completions: Sequence[Any], *__: Any) -> list[float | None]:
        texts = map(_completion_text, completions)
        return [float(parse(text, asked).validity is Validity.CLEAN) for text in texts]

    return _named("in_form", clean)


def model_probe(model: Any, tokenizer: Any, *, chat_template_kwargs: Mapping[str, Any] | None = None) -> Probe:
    """Read p(label) from a model as it is at each call, behind the very tokens that TRL puts in front of completions.

    Args:
        model: the very model object that is trained; one that TRL wraps in an adapter stays the same inside.
        tokenizer: its tokenizer.
        chat_template_kwargs: those of the trainer's ``GRPOConfig``, for prompts that are messages.
    """
    variables = dict(chat_template_kwargs or {})

    def probe(prompts: Sequence[Any], completion_ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        was_training = model.training
        try:
            engine = LocalEngine(model, tokenizer, config=EngineConfig(path="plain"))
            asked = [_prompt_tokens(prompt, tokenizer, variables) for prompt in prompts]
            sites = [probe_site(tokenizer, ids, LABEL_PROBE.anchor, LABEL_PROBE.choices) for ids in completion_ids]
            scored = engine.logprobs(asked, [site.choices for site in sites])
        finally:
            model.train(was_training)
        return label_probs(
            np.array(
                [[row[site.start :].sum() for row in rows] for rows, site in zip(scored, sites, strict=True)]
            ).reshape(-1, len(LABELS))
        )

    return probe


def _named(name: str, function: RewardFunc) -> RewardFunc:
    """A function under the name that TRL logs."""

    def reward(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        return function(prompts, completions, completion_ids, columns)

    reward.__name__ = reward.__qualname__ = name
    return reward


class _Scorer:
    """Scores a batch once, however many terms ask for it: TRL calls each function with the same lists."""

    def __init__(
        self,
        config: RewardConfig,
        template: str,
        label_column: str,
        evidence_column: str,
        probe: Probe | None,
        stop_token_ids: Collection[int] | None,
    ) -> None:
        self._config = config
        self._template = templates.get(template)
        self._label_column = label_column
        self._evidence_column = evidence_column
        self._probe = probe
        self._stop = None if stop_token_ids is None else frozenset(stop_token_ids)
        self._last: tuple[list[Any], int, Rewards, NDArray[np.bool_]] | None = None

    @property
    def terms(self) -> list[str]:
        """Terms that can act: with a weight, and with what they need."""
        can = [term for term in TERMS if self._probe is not None or term not in NEED_PROBE]
        return [term for term in can if term == "accuracy" or getattr(self._config, term) > 0]

    def term(self, name: str) -> RewardFunc:
        def one(*batch: Any) -> list[float | None]:
            rewards, known = self._score(*batch)
            return _listed(rewards.terms[name], known)

        return one

    def total(self, *batch: Any) -> list[float | None]:
        rewards, known = self._score(*batch)
        return _listed(np.sum([rewards.terms[name] for name in self.terms], axis=0), known)

    def _score(
        self, prompts: Sequence[Any], completions: Sequence[Any], ids: Any, columns: dict[str, Any]
    ) -> tuple[Rewards, NDArray[np.bool_]]:
        step = self._step(columns)
        # TRL hands the very same lists to every function; kept alive here, they tell batches apart.
        batch = [prompts, completions, ids, columns.get(self._label_column), columns.get(self._evidence_column)]
        if self._last is not None and self._last[1] == step and all(map(operator.is_, self._last[0], batch)):
            return self._last[2], self._last[3]
        gold, known = self._gold(columns)
        answers = [parse(_completion_text(completion), self._template) for completion in completions]
        stopped = [True] * len(answers)
        if self._stop is not None and ids is not None:
            stopped = [len(tokens) > 0 and tokens[-1] in self._stop for tokens in ids]
        probs: NDArray[np.float64] = np.tile(UNKNOWN_PROBS, (len(answers), 1))
        if self._probe is not None:
            if ids is None:
                raise DataError("the probe needs completion_ids, which TRL passes to reward functions from 0.20 on")
            probs = self._probe(prompts, ids)
        rewards = score(
            self._config,
            label=np.array([NO_LABEL if a.label is None else LABELS.index(a.label) for a in answers]),
            confidence=np.array([np.nan if a.confidence is None else a.confidence for a in answers]),
            clean=np.array(
                [a.validity is Validity.CLEAN and end for a, end in zip(answers, stopped, strict=True)], dtype=bool
            ),
            gold=gold,
            has_evidence=np.array([bool(evidence) for evidence in self._column(columns, self._evidence_column)]),
            probs=probs,
            step=step,
        )
        self._last = (batch, step, rewards, known)
        return rewards, known

    def _gold(self, columns: dict[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Gold label indices (0 where unknown), and where they are known."""
        values = self._column(columns, self._label_column)
        names = {label.value: index for index, label in enumerate(LABELS)}
        for value in values:
            if value is not None and str(value) not in names:
                raise DataError(
                    f"column {self._label_column!r} holds {value!r}; gold labels are {', '.join(names)}, or None"
                )
        gold = np.array([names.get(str(value), 0) for value in values], dtype=np.int64)
        return gold, np.array([value is not None for value in values], dtype=bool)

    def _column(self, columns: dict[str, Any], name: str) -> Sequence[Any]:
        if name not in columns:
            raise DataError(f"the dataset has no column {name!r}; it has {', '.join(sorted(columns)) or 'none'}")
        values: Sequence[Any] = columns[name]
        return values

    def _step(self, columns: dict[str, Any]) -> int:
        """The trainer's step, for the warm-up."""
        state = columns.get("trainer_state")
        if state is not None:
            return int(state.global_step)
        if self._config.warmup_steps:
            raise DataError(
                f"the warm-up over {self._config.warmup_steps} steps needs trainer_state, which TRL passes to reward "
                "functions; without a trainer set warmup_steps to 0"
            )
        return 0


def _listed(values: NDArray[np.float64], known: NDArray[np.bool_]) -> list[float | None]:
    return [float(value) if is_known else None for value, is_known in zip(values, known, strict=True)]


def _completion_text(completion: Any) -> str:
    """The text of a completion, plain or as messages."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


def _prompt_tokens(prompt: Any, tokenizer: Any, variables: Mapping[str, Any]) -> tuple[int, ...]:
    """A prompt as TRL tokenises it: text with the tokenizer's own special tokens, messages as their template says."""
    if isinstance(prompt, str):
        return tuple(tokenizer(prompt)["input_ids"])
    text = str(tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True, **variables))
    return encode_text(tokenizer, text, rendered=True)
