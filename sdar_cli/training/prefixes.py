"""Which tokens several sequences begin with, and which of these beginnings are worth computing once.

Prompts of a step begin alike: all of them with the template and the general skills, a group's with its task and its
skills, samples of one state are the same to the end. Sorted, prompts are a tree of such beginnings. A *segment* is
a piece of it that is computed once, and whose keys and values all sequences below read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

SHARES = (0.1, 0.3, 0.5)
"""A segment saves at least this share of the tokens that are left to compute below it. A higher share means fewer
levels; each is tried."""
SMALLEST = 16
"""And at least so many tokens: it is padded to the longest of its level, and has to be looked up."""
CALL = 512
"""What a forward pass costs beside its tokens, in tokens. Measured with 0.1 M parameters on a CPU."""
_BLOCK = 32


@dataclass(slots=True, eq=False)
class Segment:
    """Tokens of a prompt from position ``start`` on; those before are its parents'."""

    start: int
    tokens: tuple[int, ...]
    parent: Segment | None
    index: int
    """Place among the segments of its level."""
    path: tuple[Segment, ...]
    """From the first tokens to this segment's."""

    @property
    def stop(self) -> int:
        return self.start + len(self.tokens)


@dataclass(frozen=True, slots=True)
class Plan:
    """``levels``: segments whose parents are of the level before. ``parents``: of each sequence, its last segment."""

    levels: list[list[Segment]]
    parents: list[Segment | None]

    @property
    def kept_tokens(self) -> int:
        """Whose keys and values are held until the last sequence is done."""
        return sum(len(segment.tokens) for level in self.levels for segment in level)


@dataclass(slots=True, eq=False)
class _Found:
    """Keys ``low`` to ``high`` have tokens ``start`` to ``stop`` in common, beyond their parent's."""

    low: int
    high: int
    start: int
    stop: int
    parent: _Found | None
    depth: int
    saved: int
    """Tokens that need not be computed thanks to it."""


def plan(prompts: Sequence[Sequence[int]]) -> Plan:
    """Segments for sequences with these prompts.

    A prompt's last token is in none of them: what it predicts, the completion's first token, is each sequence's own.
    """
    below: dict[tuple[int, ...], list[int]] = {}
    for place, prompt in enumerate(prompts):
        below.setdefault(tuple(prompt[:-1]), []).append(place)
    keys = sorted(below)
    levels: list[list[Segment]] = []
    parents: list[Segment | None] = [None] * len(prompts)
    made: dict[_Found, Segment] = {}
    for found in _worthwhile(keys, [len(below[key]) for key in keys]):
        if found.depth == len(levels):
            levels.append([])
        above = None if found.parent is None else made[found.parent]
        level = levels[found.depth]
        segment = Segment(found.start, keys[found.low][found.start : found.stop], above, len(level), ())
        segment.path = (*(above.path if above else ()), segment)
        level.append(segment)
        made[found] = segment
        for key in keys[found.low : found.high]:
            for place in below[key]:
                parents[place] = segment
    return Plan(levels, parents)


def _worthwhile(keys: Sequence[tuple[int, ...]], weights: Sequence[int]) -> list[_Found]:
    """The cheapest choice, parents before children. ``weights``: sequences with each of the sorted keys."""
    common = [shared_length(a, b) for a, b in pairwise(keys)]
    choices = [_find(keys, weights, common, share) for share in SHARES]
    cut = [[one for one in found if one.depth <= depth] for found in choices for depth in {o.depth for o in found}]
    return min([[], *cut], key=_cost)


def _cost(found: Sequence[_Found]) -> int:
    """In tokens, over that of no segment at all."""
    return CALL * len({one.depth for one in found}) - sum(one.saved for one in found)


def _find(keys: Sequence[tuple[int, ...]], weights: Sequence[int], common: Sequence[int], share: float) -> list[_Found]:
    counts = [0, *accumulate(weights)]
    tokens = [0, *accumulate(len(key) * weight for key, weight in zip(keys, weights, strict=True))]
    found: list[_Found] = []
    todo: list[tuple[int, int, int, _Found | None]] = [(0, len(keys), 0, None)] if keys else []
    while todo:
        low, high, start, parent = todo.pop()
        count = counts[high] - counts[low]
        left = tokens[high] - tokens[low] - count * start
        if count == 1 or left < SMALLEST:
            continue
        stop = min(common[low : high - 1], default=len(keys[low]))
        saved = (count - 1) * (stop - start)
        if saved >= max(SMALLEST, share * left):
            depth = 0 if parent is None else parent.depth + 1
            found.append(_Found(low, high, start, stop, parent, depth, saved))
            start, parent = stop, found[-1]
        if high - low > 1:
            edges = [low, *(i + 1 for i in range(low, high - 1) if common[i] == stop), high]
            todo += [(a, b, start, parent) for a, b in pairwise(edges)]
    return found


def shared_length(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """How many tokens both begin with."""
    end = min(len(a), len(b))
    place = 0
    while place < end and a[place : place + _BLOCK] == b[place : place + _BLOCK]:
        place += _BLOCK
    while place < end and a[place] == b[place]:
        place += 1
    return min(place, end)
