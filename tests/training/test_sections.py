"""Sections of a batch's continuations are found where they were laid out."""

from __future__ import annotations

import torch

from candor.training.sections import Sections, lay_out

COMPLETIONS = [[(1,), (2,)], [(3,), (4,)]]
CHOICES = [[(5,)], [(6,), (7,), (8,)]]
CONFIDENCES = [[(9,)], []]


def _values(rows_P_C: list[list[tuple[int, ...]]]) -> torch.Tensor:
    most = max(map(len, rows_P_C))
    return torch.tensor([[row[0] for row in rows] + [-1] * (most - len(rows)) for rows in rows_P_C])[..., None]


def test_each_section_is_read_back_as_it_was_laid_out() -> None:
    sections, rows = lay_out(completions=COMPLETIONS, label_choices=CHOICES, confidences=CONFIDENCES)
    assert rows == [[(1,), (2,), (5,), (9,)], [(3,), (4,), (6,), (7,), (8,)]]
    values, every = _values(rows), slice(0, 2)
    assert sections.rows("completions", values, every)[..., 0].tolist() == [[1, 2], [3, 4]]
    assert sections.rows("label_choices", values, every)[..., 0].tolist() == [[5, 0, 0], [6, 7, 8]]
    assert sections.rows("confidences", values, every)[..., 0].tolist() == [[9], [0]]


def test_a_part_of_the_prompts_has_its_own_width() -> None:
    sections, rows = lay_out(completions=COMPLETIONS, label_choices=CHOICES)
    first = sections.rows("label_choices", _values(rows[:1]), slice(0, 1))
    second = sections.rows("label_choices", _values(rows[1:]), slice(1, 2))
    assert first[..., 0].tolist() == [[5]]
    assert second[..., 0].tolist() == [[6, 7, 8]]


def test_an_empty_section_has_no_rows() -> None:
    sections = Sections({"completions": [2, 2], "label_choices": [0, 0]})
    assert sections.rows("label_choices", torch.ones(2, 2, 3), slice(0, 2)).shape == (2, 0, 3)
