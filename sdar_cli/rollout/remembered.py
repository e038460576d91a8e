"""Prompts that were written before: the episodes of a group begin with the same one, and often go on alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

Messages = tuple[tuple[str, str], ...]
"""(role, content) of each."""

TOKENS = 1 << 20
"""Tokens that are kept: a turn of 512 episodes whose prompts have a thousand, with skills and without. At eight bytes
a token, and about as much text, that is some 20 MB, however long prompts are."""


class Remembered:
    """A function from messages to text and tokens, with its latest results at hand."""

    def __init__(self, write: Callable[[Messages], tuple[str, tuple[int, ...]]], most: int = TOKENS) -> None:
        self._write = write
        self._most = most
        self._kept: OrderedDict[Messages, tuple[str, tuple[int, ...]]] = OrderedDict()
        self.tokens = 0
        """That are kept now."""

    def __call__(self, messages: Messages) -> tuple[str, tuple[int, ...]]:
        written = self._kept.get(messages)
        if written is not None:
            self._kept.move_to_end(messages)
            return written
        written = self._kept[messages] = self._write(messages)
        self.tokens += len(written[1])
        while self.tokens > self._most:
            _, (_, oldest) = self._kept.popitem(last=False)
            self.tokens -= len(oldest)
        return written
