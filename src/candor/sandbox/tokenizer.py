"""The tokenizer of the sandbox's base model: byte-level BPE that encodes any text.

Words of the sandbox and of the prompts in ``TEMPLATES`` are one token each, digits are one token each whatever stands
around them, and any other text falls back to parts of words and at last to bytes, so that there is no unknown token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from candor.prompts import templates
from candor.sandbox import world
from candor.types import LABELS

PAD: Final = "<pad>"
EOS: Final = "<eos>"

TEMPLATES: Final = ("verdict", "verdict-rationale", "sandbox")
"""Prompts whose words are learnt whole. With others the tokenizer would be another, and with it the base model."""

_EXAMPLES_PER_DOMAIN: Final = 3000
"""Enough that every word of the world occurs; which ones occur does not change the merges of complete words."""

_PIECES: Final = r"\n| ?\d| ?\p{L}+[:=]?| ?[^\s\p{L}\d]+|\s"
"""No merge crosses these pieces: a line break stands alone, so does a digit (with the space before it, if any);
``LABEL=`` and ``Claim:`` keep their last sign, so that what follows them is tokenised by itself."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same words always give the same tokenizer.

    Returns:
        A tokenizer with ``<pad>`` (id 0) and ``<eos>`` (id 1) that pads on the left and adds no token of its own.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,  # never reached: merging ends once every word of the corpus is one token
        min_frequency=1,
        special_tokens=[PAD, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _corpus() -> Iterator[str]:
    template = templates.get("sandbox")
    for domain in world.DOMAINS:
        for example in world.generate(domain, _EXAMPLES_PER_DOMAIN, seed=0):
            yield template.render(example)
            # By themselves too: at the start of a text a word has no space before it, and so is another token.
            yield from (example.claim, *example.evidence)
    for name in TEMPLATES:
        template = templates.get(name)
        yield template.render(world.generate("wiki", 1, seed=0)[0])
        for label in LABELS:
            yield template.render_answer(label, 0.5)
    yield "".join(f" {digit}" for digit in range(10))
