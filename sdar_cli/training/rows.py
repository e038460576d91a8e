"""Episodes as training rows: prompt and completion; ``credit.py`` writes what each token is worth.

Window context gives one row a turn; full context one row a trajectory, with the environment's text
between the responses masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

import numpy as np

from sdar_cli.errors import UserError
from sdar_cli.rollout.episode import Episode


@dataclass(slots=True)
class Row:
    """One sequence to train on. Lists over completion tokens have equal lengths."""

    episode: int
    """Index into the rollout's episodes."""
    prompt_ids: list[int]
    teacher_prompt_ids: list[int] | None
    completion_ids: list[int]
    mask: list[int]
    """1 on tokens that the policy wrote."""
    advantages: list[float]
    """Zeros until ``assign_advantages``."""
    turns: list[int]
    """Turn index of every token."""
    sampler_logprobs: list[float] | None = None

    @property
    def student_tokens(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)

    @property
    def teacher_tokens(self) -> int:
        """0 without a teacher's prompt."""
        return 0 if self.teacher_prompt_ids is None else len(self.teacher_prompt_ids) + len(self.completion_ids)

    @property
    def tokens(self) -> int:
        """Length of the longer of the student's and the teacher's sequences."""
        return max(self.student_tokens, self.teacher_tokens)

    @property
    def response_tokens(self) -> int:
        return sum(self.mask)


MICROBATCH_COST = 512
"""What one more micro-batch costs, in tokens of padding that are worth it."""
STUDENT, TEACHER, LONGEST = attrgetter("student_tokens"), attrgetter("teacher_tokens"), attrgetter("tokens")
"""A row's length in a pass."""


def make_rows(episodes: Sequence[Episode], context: str) -> list[Row]:
    """Rows of all trainable episodes under ``window`` or ``full`` context; none is without a response token.

    Raises:
        UserError: ``full``, and a conversation does not go on from turn to turn (a recording under ``window``).
    """
    build = _full if context == "full" else _window
    rows = [row for index, episode in enumerate(episodes) if episode.trainable for row in build(index, episode)]
    return [row for row in rows if row.response_tokens]


def _window(index: int, episode: Episode) -> list[Row]:
    return [
        Row(
            episode=index,
            prompt_ids=turn.prompt_ids,
            teacher_prompt_ids=turn.teacher_prompt_ids,
            completion_ids=turn.response_ids,
            mask=[1] * len(turn.response_ids),
            advantages=[0.0] * len(turn.response_ids),
            turns=[turn.index] * len(turn.response_ids),
            sampler_logprobs=turn.logprobs,
        )
        for turn in episode.turns
    ]


def _full(index: int, episode: Episode) -> list[Row]:
    first, last = episode.turns[0], episode.turns[-1]
    for before, after in pairwise(episode.turns):
        said = before.prompt_ids + before.response_ids
        if after.prompt_ids[: len(said)] != said:
            raise UserError(
                f"turn {after.index} of the task {episode.task.id!r} does not continue the turn before it, as "
                "rollout.context=full needs: set rollout.context=window"
            )
    start = len(first.prompt_ids)
    completion = (last.prompt_ids + last.response_ids)[start:]
    row = Row(
        episode=index,
        prompt_ids=first.prompt_ids,
        teacher_prompt_ids=first.teacher_prompt_ids,
        completion_ids=completion,
        mask=[0] * len(completion),
        advantages=[0.0] * len(completion),
        turns=[0] * len(completion),
        sampler_logprobs=[0.0] * len(completion) if last.logprobs is not None else None,
    )
    for turn in episode.turns:
        begin = len(turn.prompt_ids) - start
        for offset in range(len(turn.response_ids)):
            row.mask[begin + offset] = 1
            row.turns[begin + offset] = turn.index
            if row.sampler_logprobs is not None:
                row.sampler_logprobs[begin + offset] = turn.logprobs[offset]
    return [row]


def split_updates(rows: Sequence, rows_per_update: int | None) -> list[list[int]]:
    """Row indices of every optimiser update: as even as possible, at most ``rows_per_update`` each."""
    if not rows:
        return []
    size = rows_per_update or len(rows)
    count = -(-len(rows) // size)
    base, extra = divmod(len(rows), count)
    bounds = [i * base + min(i, extra) for i in range(count + 1)]
    return [list(range(a, b)) for a, b in pairwise(bounds)]


def split_microbatches(
    rows: Sequence[Row], indices: Sequence[int], budget: int, *, tokens: Callable[[Row], int] = LONGEST
) -> list[list[int]]:
    """Row indices of every micro-batch: sorted by length, at most ``budget`` padded tokens each.

    Where the cuts are, padding and ``MICROBATCH_COST`` for each micro-batch add up to the least. A row longer than the
    budget gets a micro-batch of its own. The split depends on lengths only.

    Args:
        tokens: a row's length in the pass that is split; by default the longer of the student's and the teacher's.
    """
    lengths = {i: tokens(rows[i]) for i in indices}
    order = sorted(indices, key=lambda i: (lengths[i], i))
    cuts = _cuts([lengths[i] for i in order], budget)
    return [order[a:b] for a, b in pairwise(cuts)]


def _cuts(lengths: list[int], budget: int) -> list[int]:
    """Bounds of the cheapest cut of ascending lengths into runs, by the least cost of every beginning."""
    count = len(lengths)
    least = np.zeros(count + 1, dtype=np.int64)
    begins = np.zeros(count + 1, dtype=np.int64)
    places = np.arange(count + 1)
    for end, width in enumerate(lengths, start=1):
        first = min(end - 1, max(0, end - budget // max(1, width)))
        costs = least[first:end] + width * (end - places[first:end])
        best = int(costs.argmin())
        least[end] = costs[best] + MICROBATCH_COST
        begins[end] = first + best
    cuts = [count]
    while cuts[-1]:
        cuts.append(int(begins[cuts[-1]]))
    return cuts[::-1]
