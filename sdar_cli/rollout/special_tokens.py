"""Texts that a tokenizer cannot read as chat structure.

A tokenizer turns ``<|im_end|>`` into its control token wherever the characters stand, also in an observation, a
goal, a skill or an action that the policy spelt out, and a text could so end its own message and speak in
another's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def special_texts(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Texts of the tokens that are flagged special, sorted.

    Added tokens without the flag are words (Qwen3's ``<think>``). Left out: a single character and pure white
    space, which are no chat structure and occur in ordinary text.
    """
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({text for text in (*tokenizer.all_special_tokens, *added) if len(text.strip()) > 1})


def breaker(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], str]:
    """A function that returns its text with a space behind the first character of every special token in it.

    ``<|im_end|>`` becomes ``< |im_end|>``: its characters stay in sight and in order, one space too many, and
    are read as words. A text without special tokens is returned as it is, so that its tokens stay the same.
    Every start of a token is broken, of overlapping ones too, and the space (or the first character after
    it that no special token holds) cannot complete another: one pass leaves none.

    Not seen: spellings that only a tokenizer's normaliser makes a special token (``AddedToken.normalized``).
    """
    texts = special_texts(tokenizer)
    if not texts:
        return lambda text: text
    letters = set("".join(texts))
    gap = next(character for character in map(chr, range(ord(" "), 0x10000)) if character not in letters)
    any_of = "|".join(map(re.escape, texts))
    occurs = re.compile(any_of).search
    first = re.compile(f"(?={any_of}).", re.DOTALL)
    return lambda text: first.sub(lambda found: found[0] + gap, text) if occurs(text) else text
