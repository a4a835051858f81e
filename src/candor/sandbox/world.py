"""A synthetic world of claims and evidence whose posterior over labels is known exactly.

Three domains imitate what makes real fact verification hard, each in one way of its own:

* ``wiki``: who was born where, works as what, plays for whom, studied where. The evidence sentence opens with a
  phrase whose reliability is fixed; rumours mostly leave the question open.
* ``revision``: claims that a number lies above a bound; the evidence gives a number with a precision
  (exactly, about, roughly) or comes from an edit without a source.
* ``climate``: trends, with up to four sources that agree or disagree.

In every domain about a quarter of the examples show only evidence that is off the topic of the claim (another
subject, or another aspect of the same subject), and 3 % show none.

An example is made in two steps: claim and evidence are drawn, then the label is drawn from
``read(claim, evidence).posterior``, a function of the shown text and nothing else. So that posterior *is*
p(label | claim, evidence), whatever the first step does, and a perfect model can be no better than it.

The world is seeded: the same domain and seed give the same examples on every machine.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Sequence

from candor.errors import DataError
from candor.sandbox import climate, revision, wiki
from candor.sandbox.reading import NO_EVIDENCE, OFF_TOPIC, UNDECIDED_FROM, Domain, Posterior, Reading, Stance
from candor.types import LABELS, Example

__all__ = ["DOMAINS", "Posterior", "Reading", "Stance", "generate", "read"]

_DOMAINS: dict[str, Domain] = {"wiki": wiki.DOMAIN, "revision": revision.DOMAIN, "climate": climate.DOMAIN}

DOMAINS: tuple[str, ...] = tuple(_DOMAINS)


def generate(domain: str, count: int, seed: int) -> list[Example]:
    """Make ``count`` examples of a domain.

    The first k of ``generate(domain, n, seed)`` are ``generate(domain, k, seed)``. Other seeds make other examples,
    but claims recur: a split must go by ``group``. Negative seeds are the base model's (``candor.sandbox.model``).

    Args:
        domain: one of :data:`DOMAINS`.
        count: how many, at least 0.
        seed: any integer.

    Raises:
        DataError: unknown domain or negative count.

    >>> example = generate("climate", 1, seed=0)[0]
    >>> example.id, round(sum(example.posterior), 9)
    ('climate-000000', 1.0)
    """
    if domain not in _DOMAINS:
        near = difflib.get_close_matches(domain, DOMAINS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"no sandbox domain {domain!r}: there are {', '.join(DOMAINS)}{hint}")
    if count < 0:
        raise DataError(f"cannot make {count} sandbox examples: the count must be at least 0")
    rng = random.Random(f"candor {domain} {seed}")
    return [_example(domain, number, rng) for number in range(count)]


def _example(domain: str, number: int, rng: random.Random) -> Example:
    claim, evidence = _DOMAINS[domain].draw(rng)
    posterior = read(claim, evidence).posterior
    return Example(
        id=f"{domain}-{number:06d}",
        dataset=domain,
        claim=claim,
        evidence=evidence,
        label=rng.choices(LABELS, posterior)[0],
        group=claim.removesuffix(".").casefold(),
        posterior=posterior,
    )


def read(claim: str, evidence: Sequence[str]) -> Reading:
    """Read claim and evidence by their text alone.

    Args:
        claim: a claim of this world, e.g. ``"Arctic hail is increasing."``.
        evidence: sentences of the same domain, in the order shown.

    Raises:
        DataError: a text that does not have the form of this world's.

    >>> reading = read("Arctic hail is increasing.", ["A study finds that Arctic hail is decreasing."])
    >>> [round(probability, 6) for probability in reading.posterior]
    [0.2, 0.6, 0.2]
    """
    for name, domain in _DOMAINS.items():
        if parts := domain.claim.fullmatch(claim):
            sentences = [domain.read_sentence(parts, text) for text in evidence]
            on_topic = [sentence for sentence in sentences if sentence.on_topic]
            if not sentences:
                posterior = NO_EVIDENCE
            elif not on_topic:
                posterior = OFF_TOPIC
            else:
                posterior = domain.weigh(on_topic)
            return Reading(
                domain=name,
                stances=tuple(sentence.stance for sentence in sentences),
                echoes=tuple(sentence.echo for sentence in sentences),
                decisive=posterior[2] < UNDECIDED_FROM,
                posterior=posterior,
            )
    raise DataError(f"not a claim of the sandbox: {claim!r}")
