"""Porter's stemmer as its author's own program has it, which Lucene follows.

Snowball's ``porter`` differs from it in four ways: the program leaves words of one or two letters alone, its
second step turns ``-bli`` (not only ``-abli``) into ``-ble`` and ``-logi`` into ``-log``, and before ``-ed`` and
``-ing`` it undoubles every consonant but l, s and z (``trekking`` → ``trek``).
"""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Any

_SECOND_STEP = re.compile(r"(?:bl|log)(?:ies|[iy](?:ed|ing)?s?)$")
"""Words that the first step can leave ending in -bli or -logi."""
_DOUBLED = re.compile(r"[aeiouy].*([chjkqvwx])\1(?:ed|ing)$")
"""Doubled consonants that Snowball keeps."""
_lock = threading.Lock()


def stem(word: str) -> str:
    """The stem of a lower-cased word."""
    if len(word) <= 2:
        return word
    if _DOUBLED.search(word):
        return stem(word[: -3 if word.endswith("ed") else -4])
    with _lock:  # a stemmer is not safe in threads
        found = _porter().stemWord(word)
        if _SECOND_STEP.search(word):
            if found.endswith("bli") and _measured(found[:-3]):
                return _porter().stemWord(found[:-1] + "e")
            if found.endswith("logi") and _measured(found[:-4]):
                return found[:-1]
    return found


def _measured(beginning: str) -> bool:
    """Porter's m > 0: somewhere a consonant follows a vowel; y is a vowel exactly after a consonant."""
    vowel = seen = False
    for place, letter in enumerate(beginning):
        vowel = letter in "aeiou" or (letter == "y" and place > 0 and not vowel)
        if seen and not vowel:
            return True
        seen = seen or vowel
    return False


@lru_cache(maxsize=1)
def _porter() -> Any:
    import Stemmer

    return Stemmer.Stemmer("porter")
