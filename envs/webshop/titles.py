"""Which words of a title say what a product is: the nouns that spaCy finds, or all words that may be nouns.

Upstream takes the nouns and proper nouns of spaCy's small English model. No package registry has that
model, so it is used where the user has installed it (``python -m spacy download en_core_web_sm``);
otherwise every word counts but function words and numbers. Adjectives then count as well: two titles
agree a little less often by chance, and a little more often by "soft" or "classic".
``matcher_name()`` says which of the two runs; every result states it.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sdar_cli.errors import EnvironmentSetupError

MODEL = "en_core_web_sm"
WORDS = "words"
NOUNS = ("NOUN", "PROPN")

_FUNCTION_WORDS = """
a about above after again all also am an and any are as at be been before below between both but by can could did do
does down during each either few for from had has have he her here hers him his how i if in inch inches into is it its
just least less many may me more most much my near neither no nor not now of off on once one only onto or other our
out over own per plus same shall she should since so some such than that the their them then there these they this
those through to too two under until up upon us very via was we were what when where which while who whose why will
with within without would yet you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words that name no thing; ours."""

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class TitleMatcher:
    name: str
    """``en_core_web_sm`` or ``words``."""
    nouns: Callable[[str], tuple[str, ...]]
    """Title → its naming words in lower case, in their order, repetitions kept."""


def title_matcher() -> TitleMatcher:
    """The process's matcher, loaded with the first call.

    Raises:
        EnvironmentSetupError: the spaCy model is installed but cannot be loaded.
    """
    return _choose(matcher_name())


def matcher_name() -> str:
    """``en_core_web_sm`` where it is installed, else ``words``. Loads nothing."""
    return WORDS if importlib.util.find_spec(MODEL) is None else MODEL


@lru_cache(maxsize=2)
def _choose(name: str) -> TitleMatcher:
    return _spacy() if name == MODEL else TitleMatcher(WORDS, naming_words)


@lru_cache(maxsize=65536)
def naming_words(title: str) -> tuple[str, ...]:
    """The words of ``title`` without function words, single letters and whatever begins with a digit.

    >>> naming_words("Women's 2-Pack Cotton Socks, 10in for the Gym")
    ('women', 'pack', 'cotton', 'socks', 'gym')
    """
    found = _WORD.findall(title.lower())
    return tuple(word for word in found if len(word) > 1 and not word[0].isdigit() and word not in FUNCTION_WORDS)


def _spacy() -> TitleMatcher:
    try:
        import spacy

        # Parts of speech need neither of these, and they take most of the time.
        model = spacy.load(MODEL, exclude=["parser", "ner", "lemmatizer"])
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EnvironmentSetupError(
            f"spaCy's {MODEL} is installed but cannot be loaded ({reason}): "
            f"install it anew with `python -m spacy download {MODEL}`, or uninstall it"
        ) from error

    @lru_cache(maxsize=65536)
    def nouns(title: str) -> tuple[str, ...]:
        return tuple(token.text.lower() for token in model(title) if token.pos_ in NOUNS)

    return TitleMatcher(MODEL, nouns)
