"""Tokenizers that merge and mark in different ways."""

from __future__ import annotations

from typing import Any

from toy import byte_tokenizer, sentencepiece_tokenizer, toy_tokenizer

TOKENIZERS: dict[str, Any] = {
    "bytes": byte_tokenizer(),
    "merges": byte_tokenizer(("=P", "CONF", "0.", "LABEL", " LABEL", "so")),
    "across lines": byte_tokenizer(("=P", "S\n", "=0", "0.", "\nCONF", "A\nC", "1.0", "99")),
    "line break melts": byte_tokenizer(("\nL", "\nLABEL=", "NA\n")),
    "whole labels": byte_tokenizer(("LABEL=PASS", "LABEL=FAIL", "=NA", "00")),
    "two digits": byte_tokenizer(tuple(f"{number:02d}" for number in range(100))),
    "three digits": byte_tokenizer((*(f"{number:03d}" for number in range(1000)), "LAB", "PAS", "CON")),
    "prefix space": sentencepiece_tokenizer(normalised=True),
    "metaspace": sentencepiece_tokenizer(normalised=False),
    "pieces": toy_tokenizer(),
}
