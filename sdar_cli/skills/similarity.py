"""How alike a sentence and each of some texts are: BM25, scaled to [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sdar_cli.skills.words import words

K1 = 1.5
B = 0.75


class Similarity:
    """BM25 in Lucene's form, k1 1.5 and b 0.75, over whole words (``words``).

    The score of a text is the sum over the distinct words w of the query of
    ln(1 + (D − d + ½) / (d + ½)) · f / (f + k1·(1 − b + b·l / l̄)), with D texts, d of them holding w, f times
    w in the text, l its length in words and l̄ the mean length. Source: Kamphuis and others, "Which BM25 do
    you mean?", ECIR 2020.

    >>> Similarity(["heat a mug", "cool a mug", "nothing"]).to("heat the mug")[0]
    1.0
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [list(words(text)) for text in texts]

    def to(self, query: str) -> list[float]:
        """One number in [0, 1] a text: BM25 over the highest of them; all 0 where no word is shared."""
        known = [word for word in dict.fromkeys(words(query)) if word in self._vocabulary]
        if not known:
            return [0.0] * len(self._texts)
        scores = self._index.get_scores(known)
        return (scores / scores.max()).tolist()

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(word for text in self._texts for word in text)

    @cached_property
    def _index(self) -> Any:
        import bm25s

        index = bm25s.BM25(k1=K1, b=B, method="lucene", dtype="float64", backend="numpy")
        index.index(self._texts, show_progress=False)
        return index
