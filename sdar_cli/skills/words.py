"""Words of a text, the same for keywords and for what they are looked up in."""

from __future__ import annotations

import unicodedata


def words(text: str) -> tuple[str, ...]:
    """Words of ``text``, case-folded: runs of letters, digits and their combining marks.

    Compatibility forms and composed accents are one (NFKC), so that two spellings of a word which look
    alike are equal. Everything else, the underscore included, parts words.

    >>> words("Heat the MUG_2, please")
    ('heat', 'the', 'mug', '2', 'please')
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return tuple("".join(c if _in_word(c) else " " for c in folded).split())


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def contains(haystack: tuple[str, ...], needle: tuple[str, ...]) -> bool:
    """Whether ``needle`` occurs in ``haystack`` as consecutive words."""
    width = len(needle)
    return width > 0 and any(haystack[i : i + width] == needle for i in range(len(haystack) - width + 1))
