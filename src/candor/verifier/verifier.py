"""The trained model in three lines: claims in, verdicts with exact probabilities out.

from candor import Verifier
verifier = Verifier.load("runs/mine")
verdict = verifier.verify("Kestrels live in Asia.", ["Kestrels are found in Europe, Asia and Africa."])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from candor.data.rows import RowError, clean, kind_of
from candor.engines.answer_scores import grammar_logprobs, greedy_answer, open_answers, scored_answers, spread_ended
from candor.engines.base import Engine
from candor.engines.hub import check_name, commit_of
from candor.engines.load import SANDBOX, base_model_of, check_base, load_engine, pinned
from candor.engines.pretrained import adapter_sha256
from candor.engines.ragged import padded
from candor.errors import DataError, ModelError, RunError
from candor.files import read_json
from candor.progress import Reporter
from candor.prompts import templates
from candor.prompts.answers import CONFIDENCES
from candor.prompts.chat import ChatSettings
from candor.prompts.encoding import EncodedPrompt, encode
from candor.prompts.grammar import answer_grammar
from candor.prompts.probe import label_probs
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.recipe.prompt import prompt_in_chat
from candor.recipe.recipe import Recipe, load_run_recipe
from candor.run_folder import RunFolder
from candor.seals import Seal
from candor.types import LABELS, Example, Label
from candor.verifier.abstention import Abstention, calibration_claims, choose_abstention, weighted_abstention
from candor.verifier.calibration_claims import CalibrationClaims, Resemblance, text_traits
from candor.verifier.verdict import EncodedClaim, Verdict, traits_of

KNOWN_CLAIMS: Final = "calibration.json"
"""In an exported folder: traits of the claims that the threshold was chosen on, without their texts."""

EXPORTED: Final = "candor.json"
"""In an exported folder: which prompt the model was trained with, and when its answers may be accepted."""

PLAIN_MODEL_TEMPLATE: Final = "verdict"
"""Prompt of a model that says of none."""

_PADDING: Final = -1
"""No token."""

_ENDS: Final = 4
"""Answers behind each label whose end is run."""


class Verifier:
    """A model that judges claims by their evidence. Not safe for several threads at once."""

    def __init__(
        self,
        engine: Engine,
        template: templates.Template,
        *,
        abstention: Abstention | None = None,
        calibration: CalibrationClaims | None = None,
        batch_size: int = 32,
        name: str = "",
        weights_sha256: str | None = None,
    ) -> None:
        """Take a loaded model; :meth:`load` makes one from a folder.

        Args:
            engine: the model.
            template: the prompt that it was trained with.
            abstention: when answers may be accepted.
            calibration: the claims that this was chosen on.
            batch_size: most claims in one forward pass.
            name: how the model is called.
            weights_sha256: of the adapter's file, where there is one.
        """
        self.name = name
        self.abstention = abstention
        self.calibration = calibration
        self._engine = engine
        self._template = template
        self._batch_size = batch_size
        self._weights_sha256 = weights_sha256
        self._grammar = answer_grammar(template, engine.tokenizer, engine.stop_token_ids)
        self._ended_K_C = spread_ended(_ENDS)
        self._answers = scored_answers(self._grammar, self._ended_K_C)
        self._tokens_A_T = padded([open_answers(self._grammar, self._ended_K_C)], fill=_PADDING)[0]

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        adapter: str | Path | None = None,
        template: str | None = None,
        chat: Mapping[str, Any] | None = None,
        device: str = "auto",
        risk: float | None = None,
        validation: Sequence[str] | None = None,
        batch_size: int = 32,
        reporter: Reporter | None = None,
    ) -> Verifier:
        """Load a trained model.

        Args:
            source: a run folder, a folder that ``candor export`` wrote, or any causal language model: a folder, a
                hub id or ``sandbox``.
            adapter: a PEFT folder to put on a model that is no run.
            template: name of the prompt template; runs and exports know theirs, for others ``verdict`` is taken.
            chat: how the model's chat template is rendered, by the keys of a recipe's part ``prompt`` (``system``,
                ``chat_template_kwargs``, ``date``, ``chat_template``); runs and exports know theirs.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            risk: highest error rate among accepted answers, in (0, 1); default: what the run's recipe says.
            validation: the run's datasets to choose the threshold on, out of ``data.calibration`` where the recipe has
                one and else out of ``data.validation``; default: all of the former, or those of the latter that the run
                was trained on.
            batch_size: most claims in one forward pass.
            reporter: told while the sandbox's base model is made; default: nobody.

        Raises:
            RunError: the folder holds several runs, or a run without a trained model.
            ModelError: the model or the adapter cannot be loaded.
            PromptError: there is no such template, it asks for reasoning first, or the chat template cannot be
                rendered so.
        """
        folder = Path(source)
        quiet = reporter or Reporter(quiet=True)
        run = RunFolder(folder)
        kind = "a run" if run.is_run else "an export" if (folder / EXPORTED).is_file() else None
        if kind is not None and (adapter is not None or template is not None or chat):
            raise RunError(
                f"{folder} is {kind}, which has its own adapter, template and chat settings; leave yours out"
            )
        if run.is_run:
            return cls._of_run(run, device, risk, validation, batch_size, quiet)
        if several := run.runs_below():
            raise RunError(f"{folder} holds several runs; choose one: {', '.join(map(str, several))}")
        if risk is not None or validation is not None:
            raise RunError(f"{source} is no run folder, so there are no validation answers to choose a threshold on")
        if (folder / EXPORTED).is_file():
            return cls._of_export(folder, device, batch_size, quiet)
        prompt = prompt_in_chat(templates.get_direct(template or PLAIN_MODEL_TEMPLATE).name, chat)
        path = None if adapter is None else Path(adapter)
        if isinstance(source, Path) and not source.exists():
            raise ModelError(f"{source}: no such folder; a model on the hub is given as text, owner/name")
        check_name(str(source))
        commit = None if source == SANDBOX else commit_of(str(source))
        called = str(source) if commit is None else f"{source}@{commit}"
        model = ModelConfig(name=str(source), revision=commit, device=device)
        engine = load_engine(model, EngineConfig(), seed=0, adapter=path or False, reporter=quiet)
        return cls(
            engine,
            prompt,
            batch_size=batch_size,
            name=called if path is None else f"{called} + {path}",
            weights_sha256=adapter_sha256(path),
        )

    @classmethod
    def _of_run(
        cls,
        folder: RunFolder,
        device: str,
        risk: float | None,
        validation: Sequence[str] | None,
        batch_size: int,
        reporter: Reporter,
    ) -> Verifier:
        recipe = load_run_recipe(folder.recipe)
        adapter = trained_adapter(folder, recipe)
        check_base(folder, recipe.model.name)
        abstention = choose_abstention(folder.path, recipe, risk=risk, sources=validation)
        name = base_model_of(adapter, recipe.model.name, reporter)
        model = pinned(folder, recipe.model).model_copy(update={"name": name, "device": device})
        engine = load_engine(model, recipe.engine, seed=0, adapter=adapter, reporter=reporter)
        return cls(
            engine,
            recipe.prompt.rendered(),
            abstention=abstention,
            calibration=calibration_claims(folder.path, recipe, sources=validation),
            batch_size=batch_size,
            name=f"{recipe.name} (seed {recipe.seeds[0]})",
            weights_sha256=adapter_sha256(adapter),
        )

    @classmethod
    def _of_export(cls, folder: Path, device: str, batch_size: int, reporter: Reporter) -> Verifier:
        Seal(folder).check()
        about = read_json(folder / EXPORTED)
        adapter = None if about["merged"] else folder
        model = ModelConfig(
            name=str(folder) if adapter is None else base_model_of(adapter, about["base_model"], reporter),
            revision=None if adapter is None else about["revision"],
            max_length=about["max_length"],
            device=device,
        )
        engine = load_engine(model, EngineConfig(), seed=0, adapter=adapter or False, reporter=reporter)
        own = about.get("template_words")
        words = templates.get(about["template"]) if own is None else templates.Template(about["template"], **own)
        template = templates.in_chat(words, ChatSettings.from_json(about.get("chat", ChatSettings().as_json())))
        if template.sha256 != about["template_sha256"]:
            raise ModelError(
                f"{folder}: trained with another wording of the template {template.name!r} than this version of "
                f"candor has; use the version that exported it ({about['created_by']})"
            )
        abstention = None if about["abstention"] is None else Abstention.from_json(about["abstention"])
        known = folder / KNOWN_CLAIMS
        return cls(
            engine,
            template,
            abstention=abstention,
            calibration=CalibrationClaims.from_json(read_json(known)) if known.is_file() else None,
            batch_size=batch_size,
            name=about["name"],
            weights_sha256=adapter_sha256(adapter),
        )

    def describe(self) -> dict[str, Any]:
        """Model, prompt and threshold with what it promises: whatever two verdicts must share to be comparable."""
        engine = self._engine.describe()
        return {
            "name": self.name,
            "model": engine["model"],
            "dtype": engine["dtype"],
            "weights_sha256": self._weights_sha256,
            "template": self._template.name,
            "template_sha256": self._template.sha256,
            "max_length": engine["max_length"],
            "abstention": None if self.abstention is None else self.abstention.as_json(),
        }

    # ------------------------------------------------------------------------------------------------ verdicts

    def verify(self, claim: str, evidence: str | Iterable[str] = ()) -> Verdict:
        """Judge one claim.

        Args:
            claim: the claim's text.
            evidence: its evidence sentences in order; one string is one sentence; may be empty.

        Raises:
            DataError: the claim is empty, or something is not text.
            PromptError: the claim alone is too long for the model.
        """
        return self.verify_batch([(claim, evidence)])[0]

    def verify_batch(self, claims: Iterable[tuple[str, str | Iterable[str]]]) -> list[Verdict]:
        """Judge many ``(claim, evidence)`` pairs; verdicts come in their order and depend on their own pair alone.

        Raises:
            DataError, PromptError: as :meth:`verify`, for the first pair that cannot be used.
        """
        return self.judge([self.encode(claim, evidence) for claim, evidence in claims])

    def resemblance(self, claims: Iterable[tuple[str, str | Iterable[str]]]) -> Resemblance:
        """Compare ``(claim, evidence)`` pairs, taken together, with the claims that the threshold was chosen on.

        Claims should be independent: those about one page or case differ from calibration claims more than others.

        Raises:
            RunError: nothing is known of the claims that the threshold was chosen on.
            DataError, PromptError: as :meth:`verify`, for the first pair that cannot be used, or there is none.
        """
        known, traits_M_F = self._compared(claims)
        return known.resemblance(traits_M_F)

    def for_claims(self, claims: Iterable[tuple[str, str | Iterable[str]]]) -> Verifier:
        """A verifier with a threshold for claims like these, whose labels nobody knows; the model is shared.

        The calibration claims are weighted to be like them in their traits. What differs otherwise, such as how often
        a claim of the same look is true, no weight can mend.

        Raises:
            RunError, DataError, PromptError: as :meth:`resemblance`.
        """
        known, traits_M_F = self._compared(claims)
        if self.abstention is None:
            raise RunError(f"{self.name}: there is no threshold whose risk could be kept")
        other = copy(self)
        other.abstention = weighted_abstention(self.abstention, known, traits_M_F)
        return other

    def _compared(
        self, claims: Iterable[tuple[str, str | Iterable[str]]]
    ) -> tuple[CalibrationClaims, NDArray[np.float64]]:
        """The claims that the threshold was chosen on, and the traits of others."""
        if self.calibration is None:
            raise RunError(
                f"{self.name}: nothing is known of claims that a threshold was chosen on; give counts under "
                "data.calibration (or export the run again, if this is an export)"
            )
        encoded = [self.encode(claim, evidence) for claim, evidence in claims]
        if not encoded:
            raise DataError("there are no claims to compare with those that the threshold was chosen on")
        return self.calibration, traits_of(encoded, self.judge(encoded))

    def encode(self, claim: str, evidence: str | Iterable[str] = ()) -> EncodedClaim:
        """Make the prompt that :meth:`judge` takes, cutting evidence that does not fit.

        Raises:
            DataError, PromptError: as :meth:`verify`.
        """
        sentences = (evidence,) if isinstance(evidence, str) else evidence
        try:
            if not isinstance(sentences, Iterable):
                raise RowError(f"'evidence' must be text or a list of texts, not {kind_of(sentences)}")
            shown = tuple(clean(sentence, "evidence") for sentence in sentences)
            text = clean(claim, "claim")
        except RowError as error:
            raise DataError(str(error)) from error
        # Gold label and group are no part of a prompt.
        example = Example(id=text[:40], dataset="claims", claim=text, evidence=shown, label=Label.NA, group="")
        room = self._engine.max_length - self._grammar.longest
        prompt = encode(self._template, example, self._engine.tokenizer, max_tokens=room)
        values = {field.name: getattr(prompt, field.name) for field in fields(prompt)}
        return EncodedClaim(**values, traits=text_traits(text, shown))

    def judge(self, encoded: Sequence[EncodedPrompt]) -> list[Verdict]:
        """Judge prompts of :meth:`encode`: a batch and all 303 answers to each in one forward pass."""
        # Prompts of like length waste no padding; each verdict depends on its own prompt alone, so order is free.
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].tokens))
        verdicts: dict[int, Verdict] = {}
        for at in range(0, len(order), self._batch_size):
            indices = order[at : at + self._batch_size]
            scores_P_A_T = padded(
                self._engine.logprobs([encoded[index].tokens for index in indices], [self._answers] * len(indices))
            )
            no_prefix_P_R = np.zeros((len(indices), 1), dtype=np.int64)
            logprobs = grammar_logprobs(torch.from_numpy(scores_P_A_T), self._grammar, no_prefix_P_R, self._ended_K_C)
            mass_P = logprobs.exp().sum((1, 2, 3)).tolist()
            for index, scores_A_T, mass in zip(indices, scores_P_A_T, mass_P, strict=True):
                verdicts[index] = self._verdict(scores_A_T, mass, encoded[index])
        return self._marked(encoded, [verdicts[index] for index in range(len(encoded))])

    def _marked(self, encoded: Sequence[EncodedPrompt], verdicts: list[Verdict]) -> list[Verdict]:
        """Verdicts with whether their claims look unlike those that the threshold was chosen on."""
        claims = [prompt for prompt in encoded if isinstance(prompt, EncodedClaim)]
        if self.calibration is None or len(claims) < len(encoded):
            return verdicts
        flags = self.calibration.unfamiliar(traits_of(claims, verdicts))
        return [replace(verdict, unfamiliar=flag) for verdict, flag in zip(verdicts, flags, strict=True)]

    def _verdict(self, scores_A_T: NDArray[np.float64], mass: float, encoded: EncodedPrompt) -> Verdict:
        # How an answer ends does not decide what it says, so those with other ends need not be looked at.
        chosen = greedy_answer(self._tokens_A_T, scores_A_T[: len(self._tokens_A_T)])
        starts, ends = self._grammar.label_start, self._grammar.label_end
        labels = range(0, len(starts), len(CONFIDENCES))
        log_labels = np.array([scores_A_T[a, starts[a] : ends[a]].sum() for a in labels])
        p_pass, p_fail, p_na = label_probs(log_labels).tolist()
        confidence = CONFIDENCES[chosen % len(CONFIDENCES)]
        mass = min(1.0, mass)  # rounding can put it a little above 1
        return Verdict(
            label=LABELS[chosen // len(CONFIDENCES)],
            confidence=confidence,
            label_probs=(p_pass, p_fail, p_na),
            valid_mass=mass,
            accepted=None if self.abstention is None else self.abstention.accepts(confidence, mass),
            evidence_dropped=encoded.evidence_dropped,
            evidence_cut=encoded.evidence_cut,
        )


def trained_adapter(folder: RunFolder, recipe: Recipe) -> Path:
    """The adapter folder of a run.

    Raises:
        RunError: there is none, or the model was trained to reason before it answers.
        DamagedError: the adapter, the recipe or the answers that a threshold is chosen on are not what was written.
    """
    chosen_on = [(split, source) for split in ("validation", "calibration") for source in recipe.data.counts(split)]
    folder.seal.check([folder.recipe, *(folder.predictions("trained", *place) for place in chosen_on)])
    if not folder.adapter.is_dir():
        raise RunError(f"{folder}: no trained model in it yet (no {folder.adapter.name}/); finish it with candor run")
    if recipe.sampling.reasoning_tokens:
        raise RunError(
            f"{folder}: the model was trained to reason before it answers (sampling.reasoning_tokens), and verdicts "
            "are read right behind the prompt; use candor predict"
        )
    Seal(folder.adapter).check()
    return folder.adapter
