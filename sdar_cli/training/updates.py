"""How a step's rows are spread over optimiser updates and micro-batches, the same whatever the number of ranks.

An update holds the same rows of the rollout however many ranks share it. Collective operations must be met by
every rank, so a rank with fewer micro-batches gets empty ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from sdar_cli.rollout.episode import Episode
from sdar_cli.training.rows import LONGEST, Row, split_microbatches, split_updates

Update = list[list[int]]
"""Row indices of every micro-batch."""
Key = tuple[int, int, int]
"""What a row is called on every rank: its episode's group and sample, and its place among the episode's rows."""


def plan_updates(
    rows: Sequence[Row],
    keys: Sequence[Key],
    *,
    rows_per_update: int | None,
    tokens_per_microbatch: int,
    shuffle: str,
    tokens: Callable[[Row], int] = LONGEST,
    gather: Callable[[list], list] = list,
) -> list[Update]:
    """This rank's updates.

    Args:
        keys: of the rows; no two rows of any ranks share one.
        rows_per_update: over all ranks; None: one update.
        tokens_per_microbatch: padded tokens, a rank.
        shuffle: seeds the order of rows where there are several updates.
        tokens: a row's length in the longest pass of an update.
        gather: a list's items of every rank, in the order of the ranks.
    """
    order = sorted(key for share in gather([list(keys)]) for key in share)
    parts = split_updates(order, rows_per_update)
    if len(parts) > 1:
        random.Random(shuffle).shuffle(order)
    own = {key: index for index, key in enumerate(keys)}
    updates = [
        split_microbatches(rows, [own[order[i]] for i in part if order[i] in own], tokens_per_microbatch, tokens=tokens)
        for part in parts
    ]
    even_out(updates, gather)
    return updates


def even_out(updates: Sequence[Update], gather: Callable[[list], list] = list) -> None:
    """Give this rank's updates the empty micro-batches that make them as many as any rank's."""
    counts = gather([[len(update) for update in updates]])
    for update, most in zip(updates, map(max, zip(*counts, strict=True)), strict=True):
        update += [[] for _ in range(most - len(update))]


def padded(rows: Sequence[Row], batch: Sequence[int], tokens: Callable[[Row], int]) -> int:
    """Tokens of a micro-batch with its padding."""
    return len(batch) * max((tokens(rows[i]) for i in batch), default=0)


def tokens_of(rows: Sequence[Row], updates: Sequence[Update], gather: Callable[[list], list] = list) -> list[int]:
    """Response tokens of each of the updates' micro-batches, over all ranks."""
    counts = [sum(rows[i].response_tokens for i in batch) for update in updates for batch in update]
    return [sum(column) for column in zip(*gather([counts]), strict=True)]


def row_keys(rows: Sequence[Row], episodes: Sequence[Episode]) -> list[Key]:
    """The keys of rows that ``make_rows`` made of these episodes."""
    seen: Counter[int] = Counter()
    keys = []
    for row in rows:
        episode = episodes[row.episode]
        keys.append((episode.group, episode.sample, seen[row.episode]))
        seen[row.episode] += 1
    return keys
