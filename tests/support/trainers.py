"""What the trainers of SkyRL and verl are run on here: a toy model that answers as their inference engines do."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any, Final

import torch
import transformers
import typing_extensions
from toy import save_toy_model

from candor.prompts.encoding import decode

NEEDED: Final = "not in this environment; make test-trainers has it"
"""Why tests of a trainer are skipped."""

if sys.version_info < (3, 12):  # what they are written for; pydantic asks for this before
    typing.TypedDict = typing_extensions.TypedDict  # type: ignore[assignment,attr-defined]


class ToyPolicy:
    """A model that answers, and is trained on what its answers are worth."""

    def __init__(self, folder: Path) -> None:
        save_toy_model(folder)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        self._optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    @torch.no_grad()
    def answer(self, prompt: list[int], length: int = 12) -> tuple[list[int], str, str, list[float]]:
        """Tokens, text, why it ended (``stop`` or ``length``), and the tokens' log-probabilities."""
        made = self.model.generate(
            input_ids=torch.tensor([prompt]), do_sample=True, max_new_tokens=length, pad_token_id=0, temperature=1.0
        )
        tokens = made[0, len(prompt) :].tolist()
        ended = tokens[-1] == self.tokenizer.eos_token_id
        logprobs = self.logprobs(made, torch.ones_like(made), len(tokens))[0].tolist()
        return tokens, decode(self.tokenizer, tokens), "stop" if ended else "length", logprobs

    def logprobs(self, ids_B_T: torch.Tensor, mask_B_T: torch.Tensor, responses: int) -> torch.Tensor:
        """Log-probabilities of the last ``responses`` tokens of each row."""
        positions = (mask_B_T.long().cumsum(-1) - 1).clamp(min=0)
        logits = self.model(input_ids=ids_B_T, attention_mask=mask_B_T.long(), position_ids=positions).logits
        told = logits[:, -responses - 1 : -1].log_softmax(-1)
        return told.gather(-1, ids_B_T[:, -responses:, None])[..., 0]

    def step(self, loss: torch.Tensor) -> float:
        """Take a step; return by how much the parameters moved at most."""
        before = [parameter.detach().clone() for parameter in self.model.parameters()]
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        after = self.model.parameters()
        return max(float((now.detach() - then).abs().max()) for now, then in zip(after, before, strict=True))


def parts(advantages: torch.Tensor, mask: torch.Tensor) -> list[list[float]]:
    """The different advantages of each answer's tokens, in order."""
    rows: list[list[float]] = []
    for row, kept in zip(advantages, mask.bool(), strict=True):
        values: list[Any] = row[kept].tolist()
        rows.append([value for at, value in enumerate(values) if at == 0 or value != values[at - 1]])
    return rows
