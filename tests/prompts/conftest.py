"""Each test of this folder that asks for a tokenizer meets them all."""

from __future__ import annotations

from typing import Any

import pytest
from answer_tokenizers import TOKENIZERS


@pytest.fixture(params=list(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]
