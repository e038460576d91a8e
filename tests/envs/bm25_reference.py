"""BM25 as Lucene's documentation and sources state it, written with dictionaries and loops, for comparison.

Nothing of ``sdar_envs.bm25`` but its analyser is used. Floats are rounded to 32 bits where Lucene's are.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from sdar_envs.bm25 import analyse

F = np.float32


def kept_length(length: int) -> int:
    """What Lucene's byte keeps of a length: all to 40, then four binary digits of what exceeds 24."""
    if length < 40:
        return length
    digits = bin(length - 24)[2:]
    return 24 + int(digits[:4] + "0" * (len(digits) - 4), 2)


def ranking(texts: list[str], query: str, k: int, k1: float = 0.9, b: float = 0.4) -> list[tuple[int, float]]:
    """(document, score) of the ``k`` best, equal scores by document."""
    documents = [Counter(analyse(text)) for text in texts]
    lengths = [sum(counts.values()) for counts in documents]
    filled = sum(length > 0 for length in lengths)
    if not filled:
        return []
    mean = F(sum(lengths) / filled)
    scores: dict[int, float] = {}
    for term, boost in Counter(analyse(query)).items():
        holders = [number for number, counts in enumerate(documents) if term in counts]
        idf = F(math.log(1 + (filled - len(holders) + 0.5) / (len(holders) + 0.5)))
        for number in holders:
            norm = F(k1) * ((F(1) - F(b)) + F(b) * F(kept_length(lengths[number])) / mean)
            weight = F(boost) * idf
            part = weight - weight / (F(1) + F(documents[number][term]) * (F(1) / norm))
            scores[number] = scores.get(number, 0.0) + float(part)
    rounded = {number: float(F(score)) for number, score in scores.items()}
    return sorted(rounded.items(), key=lambda item: (-item[1], item[0]))[:k]
