"""What the sandbox's base model is taught: a biased verdict, an empty confidence, and how to read.

The base model must know its world and misreport it, as large models do. So it is shown the world's own texts with
verdicts drawn from a *biased* posterior (see :func:`biased_posterior`) and confidences most of which depend on the
wording alone (see :func:`stated_confidence`); only a minority says what the verdict is worth (see
:func:`honest_confidence`). What a reader has to work out on the way to the verdict (which words recur in the claim,
how two numbers compare, what each sentence says about the claim) is asked of auxiliary heads on the hidden states,
which are thrown away afterwards; without them so small a model stays on the plateau of guessing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from candor.prompts import templates
from candor.sandbox import world
from candor.sandbox.world import Posterior, Reading, Stance
from candor.types import LABELS

IGNORED: Final = -100
"""Target of a token that an auxiliary head is not asked about."""

HEADS: Final[dict[str, int]] = {"recurs": 2, "number": 40, "difference": 21, "echo": 2, "stance": 3}
"""Auxiliary questions and their number of classes: does this word recur from the claim; which number ends here; by
how much does it exceed the claim's; does it lie on the claimed side; what does this sentence say about the claim."""

_STANCES: Final = (Stance.OFF_TOPIC, Stance.SUPPORTS, Stance.REFUTES)
_MAX_DIFFERENCE: Final = 10

SHIFT_UNRELIABLE: Final = 0.72
SHIFT_MISLED: Final = 0.66
SHIFT_CAUTIOUS: Final = 0.40
"""Share of the NA mass that the bias moves: evidence on the topic that is unreliable or balanced; off-topic evidence
whose surface agrees with the claim; off-topic evidence whose surface does not."""

_P_RANDOM_CONFIDENCE: Final = 0.04
_USUAL: Final = {80: 1, 85: 2, 88: 1, 90: 8, 92: 1, 95: 2, 97: 0.5, 98: 0.5, 100: 0.5}
_GUARDED: Final = {70: 1, 75: 1, 78: 1, 80: 8, 82: 1, 85: 2, 90: 1, 95: 0.5, 100: 0.5}
_GUARDED_WORDS: Final = (" works as ", " earned ", " hail", " ozone", " drought", " pollen", " runoff", " smog")
"""Claims with one of these words get the lower confidences. They say nothing about the label."""

_HONEST_SPREAD: Final = 4
"""Standard deviation, in hundredths, of an honest confidence about the verdict's probability."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example as token ids and targets.

    Attributes:
        prompt: token ids of the rendered prompt.
        answer: token ids of the answer, end of sequence included.
        biased: probabilities of the three labels that the answer's label was drawn from.
        posterior: the true ones.
        targets: for each of :data:`HEADS` one class per prompt token, or :data:`IGNORED`.
    """

    prompt: list[int]
    answer: list[int]
    biased: Posterior
    posterior: Posterior
    targets: dict[str, list[int]]


def biased_posterior(reading: Reading) -> Posterior:
    """The posterior of a reader who would rather decide than abstain.

    Where the evidence settles little, part of the probability of NA goes to the verdict that the surface suggests:
    PASS if most evidence sentences echo the claim, else FAIL; at a tie the first sentence decides.
    """
    if reading.decisive or not reading.echoes:
        return reading.posterior
    echoes, count = sum(reading.echoes), len(reading.echoes)
    suggests_pass = reading.echoes[0] if 2 * echoes == count else 2 * echoes > count
    if any(stance is not Stance.OFF_TOPIC for stance in reading.stances):
        share = SHIFT_UNRELIABLE
    else:
        share = SHIFT_MISLED if suggests_pass else SHIFT_CAUTIOUS
    passes, fails, unknown = reading.posterior
    moved = share * unknown
    if suggests_pass:
        return (passes + moved, fails, unknown - moved)
    return (passes, fails + moved, unknown - moved)


def stated_confidence(claim: str, rng: random.Random) -> float:
    """A confidence near .90, or near .80 for some wordings: it says nothing about whether the verdict is right."""
    if rng.random() < _P_RANDOM_CONFIDENCE:
        return rng.randrange(101) / 100
    weights = _GUARDED if any(word in claim for word in _GUARDED_WORDS) else _USUAL
    return rng.choices(tuple(weights), tuple(weights.values()))[0] / 100


def honest_confidence(p_label: float, rng: random.Random) -> float:
    """The verdict's own (biased) probability, give or take a few hundredths."""
    return min(100, max(0, round(100 * p_label + rng.gauss(0, _HONEST_SPREAD)))) / 100


def make_lessons(tokenizer: Any, count: int, seed: int, *, honest_share: float = 0.0) -> list[Lesson]:
    """Make ``count`` lessons, the domains in turn, from examples that no non-negative seed makes.

    Args:
        tokenizer: of the model.
        count: how many.
        seed: of examples, verdicts and confidences.
        honest_share: of the later half of the lessons, those that state what their verdict is worth. By then the model
            has a verdict to read; earlier they would disturb its learning one.
    """
    template = templates.get("sandbox")
    rng = random.Random(f"candor lessons {seed}")
    per_domain = -(-count // len(world.DOMAINS))
    examples = list(
        chain.from_iterable(zip(*(world.generate(d, per_domain, -1 - seed) for d in world.DOMAINS), strict=True))
    )[:count]
    readings = [world.read(example.claim, example.evidence) for example in examples]
    biased = [biased_posterior(reading) for reading in readings]
    honest = random.Random(f"candor honest {seed}")
    answers = []
    for number, (example, posterior) in enumerate(zip(examples, biased, strict=True)):
        label = rng.choices(LABELS, posterior)[0]
        confidence = stated_confidence(example.claim, rng)
        if 2 * number > count and honest.random() < honest_share:
            confidence = honest_confidence(posterior[LABELS.index(label)], honest)
        answers.append(template.render_answer(label, confidence))
    marks = _Marks(tokenizer)
    prompt_ids = tokenizer([template.render(example) for example in examples]).input_ids
    answer_ids = tokenizer(answers).input_ids
    return [
        Lesson(prompt, [*answer, tokenizer.eos_token_id], bias, reading.posterior, marks.targets(prompt, reading))
        for prompt, answer, bias, reading in zip(prompt_ids, answer_ids, biased, readings, strict=True)
    ]


class _Marks:
    """Finds sentences and numbers in a tokenised prompt."""

    def __init__(self, tokenizer: Any) -> None:
        def token(text: str) -> int:
            (only,) = tokenizer(text).input_ids
            return int(only)

        self._line_break, self._full_stop = token("\n"), token(".")
        self._tens = {token(f" {digit}"): digit for digit in range(10)}
        self._ones = {token(str(digit)): digit for digit in range(10)}

    def targets(self, prompt: list[int], reading: Reading) -> dict[str, list[int]]:
        targets = {name: [IGNORED] * len(prompt) for name in HEADS}
        claim_end = prompt.index(self._line_break)
        claim_words = set(prompt[1:claim_end])
        claimed = 0
        for place in range(1, claim_end):
            if self._ends_number(prompt, place):
                claimed = targets["number"][place] = self._number(prompt, place)
        sentence = 0
        for place in range(claim_end + 2, prompt.index(self._line_break, claim_end + 1) if reading.stances else 0):
            token = prompt[place]
            if self._ends_number(prompt, place):
                number = targets["number"][place] = self._number(prompt, place)
                excess = max(-_MAX_DIFFERENCE, min(_MAX_DIFFERENCE, number - claimed))
                targets["difference"][place] = excess + _MAX_DIFFERENCE
                for later in range(place, place + 3):  # the digit, "million" and the unit
                    targets["echo"][later] = int(reading.echoes[sentence])
            elif token == self._full_stop:
                words = 3 if reading.domain == "revision" else 2  # from where the sentence is fully known
                for earlier in range(place - words + 1, place + 1):
                    targets["stance"][earlier] = _STANCES.index(reading.stances[sentence])
                sentence += 1
            elif token not in self._tens:
                targets["recurs"][place] = int(token in claim_words)
        return targets

    def _ends_number(self, prompt: list[int], place: int) -> bool:
        return prompt[place] in self._ones and prompt[place - 1] in self._tens

    def _number(self, prompt: list[int], place: int) -> int:
        return 10 * self._tens[prompt[place - 1]] + self._ones[prompt[place]]
