"""A response's text, cut into its tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

STUCK = 32
"""Tokens without a character after which the next are looked at by themselves."""
MOST_PREFIXES = 1024
"""Tokens of a response that is decoded once for each of them."""
UNFINISHED = "�"
"""What a decoder writes for bytes that are no character yet."""


def token_texts(ids: Sequence[int], decode: Callable[[list[int]], str], text: str) -> list[str]:
    """One text a token; joined, they are ``text``, which is ``decode(ids)``.

    A character whose bytes are spread over tokens is its last token's; the others, and special tokens, have an
    empty text. Each token is decoded after the few before it, since a decoder may join tokens by spaces; where that
    does not add up to the text (a decoder that looks further back), each is decoded after all of them; of a long
    response the last token then has all of the text.
    """
    found = _incremental(ids, decode)
    if "".join(found) == text:
        return found
    if len(ids) > MOST_PREFIXES:
        return [*[""] * (len(ids) - 1), text]
    return _by_prefixes(ids, decode, text)


def _incremental(ids: Sequence[int], decode: Callable[[list[int]], str]) -> list[str]:
    found: list[str] = []
    start = done = 0
    for end in range(1, len(ids) + 1):
        before, after = decode(list(ids[start:done])), decode(list(ids[start:end]))
        if end - done >= STUCK or (len(after) > len(before) and not after.endswith(UNFINISHED)):
            found.append(after[len(before) :])
            start, done = done, end
        else:
            found.append("")
    return found


def _by_prefixes(ids: Sequence[int], decode: Callable[[list[int]], str], text: str) -> list[str]:
    """Cut where the decoded beginnings and the text part ways; time grows with the square of the length."""
    cuts = [0]
    for end in range(1, len(ids)):
        begun = decode(list(ids[:end]))
        shared = next((place for place, pair in enumerate(zip(begun, text, strict=False)) if pair[0] != pair[1]), None)
        cuts.append(max(cuts[-1], min(len(begun), len(text)) if shared is None else shared))
    cuts += [len(text)] if ids else []
    return [text[a:b] for a, b in pairwise(cuts)]
