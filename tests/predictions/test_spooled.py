"""Examples on disk are the examples that were put there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy import EXAMPLES

from candor.predictions.spooled import SpooledExamples


def test_what_is_put_there_is_found_again_in_any_order() -> None:
    told = [
        *EXAMPLES,
        replace(EXAMPLES[0], id="é", claim="line\u2028separator", evidence=(), posterior=(0.1, 0.2, 0.7)),
        replace(EXAMPLES[1], id="drawn", evidence_source="drawn"),
        replace(EXAMPLES[1], id=" 1 ", dataset="", group=" g", evidence=("[T x]  s \n[T y] t",)),  # not as it is read
    ]
    with SpooledExamples.made() as spooled:
        assert not spooled
        for number, example in enumerate(told):
            spooled.append(example)
            assert spooled[number] == example  # read between writes
        assert list(spooled) == told
        assert [spooled[index] for index in (3, 0, len(told) - 1)] == [told[3], told[0], told[-1]]
        assert len(spooled) == len(told)
        with pytest.raises(IndexError):
            spooled[len(told)]
