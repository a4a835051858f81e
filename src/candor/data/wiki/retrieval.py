"""The best BM25 sentences for a claim, from the wiki index.

SQLite scores every sentence that matches a query, so a query with a frequent word would score millions. The rarest
words of the claim, as many as a budget of matches allows, pick the candidates; all words of the claim then rank them.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata

from candor.data.text import display_title
from candor.data.wiki.index import Sentence, WikiIndex

MATCH_BUDGET = 20_000
"""Matches that a query may score; ``benchmarks/wiki.py`` measures what a query then takes, about 15 ms."""

CANDIDATES = 100
"""Best matches of the rare words that are ranked by all words."""

K1, B = 1.2, 0.75
"""BM25's usual parameters, those of SQLite's own ranking (Robertson and Zaragoza, 2009)."""

_WORD = re.compile(r"[^\W_]+")


class Retriever:
    """Searches an index. Counts of words are kept between queries."""

    def __init__(self, index: WikiIndex) -> None:
        self._index = index
        self._count = functools.lru_cache(maxsize=100_000)(self._count_uncached)

    def search(self, claim: str, limit: int) -> list[Sentence]:
        """At most ``limit`` sentences, best first; ties by their place in the dump. None where no word is known."""
        counts = {word: self._count(word) for word in dict.fromkeys(words(claim))}
        known = sorted((count, word) for word, count in counts.items() if count)
        if not known:
            return []
        scored = []
        for rowid in self._candidates(known, limit):
            sentence = self._index.by_rowid(rowid)
            scored.append((-self._score(sentence, counts), rowid, sentence))
        return [sentence for _, _, sentence in sorted(scored, key=lambda item: item[:2])[:limit]]

    def _candidates(self, known: list[tuple[int, str]], limit: int) -> list[int]:
        chosen, matches = [known[0][1]], known[0][0]
        for count, word in known[1:]:
            matches += count
            if matches > MATCH_BUDGET:
                break
            chosen.append(word)
        if known[0][0] > MATCH_BUDGET and len(known) > 1:
            # Even the rarest word is frequent: sentences with the two rarest are fewer and more to the point.
            found = self._match(f'"{known[0][1]}" AND "{known[1][1]}"')
            if len(found) >= limit:
                return found
        return self._match(" OR ".join(f'"{word}"' for word in chosen))

    def _match(self, query: str) -> list[int]:
        rows = self._index.execute(
            "SELECT rowid FROM sentence_index WHERE sentence_index MATCH ? ORDER BY rank, rowid LIMIT ?",
            (query, CANDIDATES),
        )
        return [rowid for (rowid,) in rows]

    def _count_uncached(self, word: str) -> int:
        """How many sentences hold a word."""
        for sql in (
            "SELECT sentences FROM terms WHERE term = ?",
            "SELECT doc FROM vocabulary WHERE term = ?",
        ):
            rows = self._index.execute(sql, (word,))
            if rows:
                return int(rows[0][0])
        return 0

    def _score(self, sentence: Sentence, counts: dict[str, int]) -> float:
        found = words(f"{display_title(sentence.title)} {sentence.text}")
        length = len(found) / self._average_length
        score = 0.0
        for word, count in counts.items():
            frequency = found.count(word)
            if frequency:
                rarity = math.log(1 + (self._index.sentences - count + 0.5) / (count + 0.5))
                score += rarity * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * length))
        return score

    @functools.cached_property
    def _average_length(self) -> float:
        """Words per sentence, titles included, over a spread of pages."""
        step = max(1, self._index.pages // 1000)
        pages = [
            self._index.execute("SELECT title, lines FROM pages WHERE id = ?", (page,))[0]
            for page in range(step, self._index.pages + 1, step)
        ]
        lengths = [
            len(words(f"{display_title(title)} {line.partition(chr(9))[2]}"))
            for title, lines in pages
            for line in lines.split("\n")
            if line
        ]
        return sum(lengths) / len(lengths) if lengths else 1.0


def words(text: str) -> list[str]:
    """Words as the index keeps them: letters and digits, lower case, without diacritics.

    >>> words("Beyoncé's 2nd album")
    ['beyonce', 's', '2nd', 'album']
    """
    decomposed = unicodedata.normalize("NFD", text.lower())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _WORD.findall(unicodedata.normalize("NFC", plain))
