"""A small FEVER in the official form: claims, and a Wikipedia dump of three shards."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGES: dict[str, list[str]] = {
    "Ed_Decter": [
        "Edward I. Decter -LRB- born May 19 , 1959 -RRB- is an American film director .",
        "He wrote a film .",
    ],
    "Savages_-LRB-2012_film-RRB-": [
        "Savages is a 2012 crime film directed by Oliver Stone .",
        "",
        "It stars Taylor Kitsch .",
    ],
    unicodedata.normalize("NFD", "Beyoncé"): ["Beyoncé is a singer born in Houston ."],
    "Alien-COLON-_Covenant": ["Alien is a 2017 science fiction film by Ridley Scott ."],
    "Oliver_Stone": ["Oliver Stone is an American filmmaker ."],
    "Empty": [],
}


def page(title: str, sentences: Sequence[str]) -> dict[str, str]:
    lines = "\n".join(f"{n}\t{sentence}\tlink\tother link" for n, sentence in enumerate(sentences))
    return {"id": title, "text": " ".join(sentences), "lines": lines}


def write_dump(path: Path, pages: dict[str, list[str]] = PAGES, per_shard: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [page(title, sentences) for title, sentences in pages.items()]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/wiki-pages/._wiki-001.jsonl", b"\x00\x05\x16\x07")
        for number, first in enumerate(range(0, len(rows), per_shard), start=1):
            shard = [page("", []), *rows[first : first + per_shard]]
            archive.writestr(f"wiki-pages/wiki-{number:03d}.jsonl", "\n".join(json.dumps(row) for row in shard) + "\n")
    return path


def claim(number: int, text: str, label: str, *annotations: Sequence[tuple[str, int]]) -> dict[str, Any]:
    evidence = [[[number, 1, title, line] for title, line in annotation] for annotation in annotations]
    return {
        "id": number,
        "verifiable": "NOT VERIFIABLE" if label == "NOT ENOUGH INFO" else "VERIFIABLE",
        "label": label,
        "claim": text,
        "evidence": evidence or [[[number, None, None, None]]],
    }


CLAIMS = [
    claim(1, "Ed Decter is a director.", "SUPPORTS", [("Ed_Decter", 0)], [("Ed_Decter", 1), ("Ed_Decter", 0)]),
    claim(
        2,
        "Savages was directed by Oliver Stone.",
        "SUPPORTS",
        [("Oliver_Stone", 0), ("Savages_-LRB-2012_film-RRB-", 0)],
    ),
    claim(3, "Beyoncé was born in Paris.", "REFUTES", [(unicodedata.normalize("NFC", "Beyoncé"), 0)]),
    claim(4, "Alien: Covenant is a comedy.", "REFUTES", [("Alien-COLON-_Covenant", 0), ("Alien-COLON-_Covenant", 7)]),
    claim(5, "Taylor Kitsch lives in Houston.", "NOT ENOUGH INFO"),
    claim(6, "Oliver Stone likes singers.", "NOT ENOUGH INFO"),
]


def write_fever(folder: Path, claims: Sequence[dict[str, Any]] = CLAIMS, **dump: Any) -> Path:
    """Write a data folder with ``train.jsonl`` and the dump; returns the folder."""
    (folder / "fever").mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps(row) + "\n" for row in claims)
    (folder / "fever" / "train.jsonl").write_text(rows, encoding="utf-8")
    write_dump(folder / "fever" / "wiki-pages.zip", **dump)
    return folder
