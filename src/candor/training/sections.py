"""What the continuations behind a batch's prompts are: named sections, laid out and found again in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from candor.engines.base import Tokens


@dataclass(frozen=True, slots=True)
class Sections:
    """Where the rows of each kind of continuation lie: behind every prompt one section after another.

    Attributes:
        counts: from a section's name to the number of its continuations behind each of the P prompts.
    """

    counts: Mapping[str, Sequence[int]]

    def rows(self, name: str, values_P_C_T: torch.Tensor, part: slice) -> torch.Tensor:
        """Rows of a section.

        Args:
            name: of the section.
            values_P_C_T: of all continuations behind the prompts ``part``.
            part: which prompts.

        Returns:
            Shape ``[P, most, T]``: as many rows as the prompt with most has; a prompt with fewer has zeros behind them.
        """
        ends = [list(accumulate(counts)) for counts in zip(*(c[part] for c in self.counts.values()), strict=True)]
        at = list(self.counts).index(name)
        count_P = self.counts[name][part]
        first_P = [end[at] - count for end, count in zip(ends, count_P, strict=True)]
        if len(set(first_P)) == len(set(count_P)) == 1:
            return values_P_C_T[:, first_P[0] : first_P[0] + count_P[0]]
        most = max(count_P)
        own = [
            values[first : first + count] for values, first, count in zip(values_P_C_T, first_P, count_P, strict=True)
        ]
        return torch.stack([torch.nn.functional.pad(rows, (0, 0, 0, most - len(rows))) for rows in own])


def lay_out(**sections: Sequence[Sequence[Tokens]]) -> tuple[Sections, list[list[Tokens]]]:
    """Put sections one after another behind each prompt.

    Args:
        sections: from a section's name to its continuations for each prompt.

    Returns:
        Where they lie, and all continuations of each prompt.

    >>> layout, rows = lay_out(completions=[[(1,)], [(2,)]], label_choices=[[], [(7,), (8,)]])
    >>> rows, layout.counts["label_choices"]
    ([[(1,)], [(2,), (7,), (8,)]], [0, 2])
    """
    counts = {name: [len(group) for group in groups] for name, groups in sections.items()}
    together = zip(*sections.values(), strict=True)
    return Sections(counts), [[tokens for group in groups for tokens in group] for groups in together]
