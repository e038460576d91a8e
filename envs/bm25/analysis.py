"""Text to terms, as Anserini's English analyser has it from Lucene.

Words by Unicode's rules for word boundaries (UAX 29), ``'s`` dropped from their end, lower case, 33 stop words
dropped, Porter's stemmer. Two things differ: an emoji gives no term here, and South-East Asian text, which
Lucene keeps in runs, is cut into letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sdar_envs.bm25.stemming import stem

_STOP_WORDS = "a an and are as at be but by for if in into is it no not of on or such that the their then there these "
_STOP_WORDS += "they this to was will with"
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Lucene's English set."""
LONGEST = 255
"""Characters of a word; a longer one is cut into pieces."""

# UAX 29 for ASCII: letters, digits and _ join; . ' : join letters, and . ' , ; join digits.
_ASCII_WORD = re.compile(r"[0-9a-z_]+(?:(?:(?<=[a-z])[.':](?=[a-z])|(?<=[0-9])[.',;](?=[0-9]))[0-9a-z_]+)*")
# Unicode 15.1 took the colons from the marks that join letters; Lucene's tables are older. The middle dot still joins.
_COLONS = str.maketrans(dict.fromkeys(":\ufe55\uff1a", "\u00b7"))
# No word starts with one by UAX 29, but `regex` leaves one with a vowel that follows it.
_APOSTROPHES = "'\u2019"
_POSSESSIVES = ("'s", "\u2019s", "\uff07s")


def analyse(text: str) -> list[str]:
    """The terms of a text or of a query, in order and with repetitions."""
    words = _ASCII_WORD.findall(text.lower()) if text.isascii() else list(_unicode_words(text))
    if max(map(len, words), default=0) > LONGEST:
        words = [word[cut : cut + LONGEST] for word in words for cut in range(0, len(word), LONGEST)]
    return [term for word in words if (term := _term(word))]


def _unicode_words(text: str) -> Iterator[str]:
    """Pieces between word boundaries, lower-cased; those without a letter or digit give no term later."""
    start = 0
    for match in _boundary().finditer(text.translate(_COLONS)):
        yield text[start : match.start()].lstrip(_APOSTROPHES).lower()
        start = match.start()


@lru_cache(maxsize=1)
def _boundary() -> Any:
    import regex

    return regex.compile(r"(?V1w)\b")


@lru_cache(maxsize=1 << 18)
def _term(word: str) -> str:
    """The term of a lower-cased word; empty for a stop word, and where there is no letter or digit."""
    if not any(map(str.isalnum, word)):
        return ""
    if word.endswith(_POSSESSIVES):
        word = word[:-2]
    return "" if word in STOP_WORDS else stem(word)
