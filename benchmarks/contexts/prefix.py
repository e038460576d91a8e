"""What a prefix cache would find, counted from the prompts alone, by the rule of vLLM's.

vLLM keeps the keys and values of whole blocks of 16 tokens, each under a hash of its tokens and of all before them.
A prompt finds its leading blocks that are kept, at least one token of it being computed always. Nothing is thought to
be thrown out for want of room.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCK = 16


class PrefixCache:
    def __init__(self, block: int = BLOCK) -> None:
        self.block = block
        self._kept: set[int] = set()

    def find(self, prompt: Sequence[int]) -> int:
        """How many of the prompt's tokens are kept."""
        found = 0
        for key in self._keys(prompt[: len(prompt) - 1]):
            if key not in self._kept:
                break
            found += self.block
        return found

    def keep(self, tokens: Sequence[int]) -> None:
        """Of a prompt, or of a prompt and its response but for the last token, which was never read."""
        self._kept.update(self._keys(tokens))

    def _keys(self, tokens: Sequence[int]) -> list[int]:
        keys, before = [], 0
        for start in range(0, len(tokens) - self.block + 1, self.block):
            before = hash((before, *tokens[start : start + self.block]))
            keys.append(before)
        return keys


def found(turns: Sequence[Sequence[tuple[list[int], list[int]]]], block: int = BLOCK) -> int:
    """Prompt tokens found over a rollout: for every turn, prompt and response of each episode that is live.

    The prompts of a turn are given together: one may find the blocks of another before it, which vLLM keeps as soon
    as it plans to compute them, but no response of the same turn.
    """
    cache, total = PrefixCache(block), 0
    for together in turns:
        for prompt, _ in together:
            total += cache.find(prompt)
            cache.keep(prompt)
        for prompt, response in together:
            cache.keep((prompt + response)[:-1])
    return total
