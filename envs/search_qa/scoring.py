"""Exact match, as Search-R1 and SQuAD count it."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, then without articles, white space collapsed.

    >>> normalise("The  U.S. Open!")
    'us open'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, targets: Iterable[str]) -> bool:
    """Whether the answer equals one of the targets, both normalised."""
    normalised = normalise(answer)
    return any(normalise(target) == normalised for target in targets)
