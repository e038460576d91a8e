"""Keys and values of segments (``prefixes.py``), and how a batch reads its parents' through Transformers' cache.

Shapes: B sequences or segments, S their tokens at a level above, H heads, D a head's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers.cache_utils import Cache, DynamicLayer

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.training.prefixes import Segment


@dataclass(frozen=True, slots=True)
class Stored:
    """A level's keys and values, (segments, H, S, D) for each layer, padded on the right."""

    layers: list[tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, parts: list[list[tuple[Tensor, Tensor]]], order: list[int]) -> Stored:
        """``parts``: of each batch, every layer's; ``order``: the segments' places in them, one after the other."""
        if len(parts) == 1 and order == sorted(order):
            return cls(parts[0])
        width = max(part[0][0].size(2) for part in parts)
        back = torch.tensor(order).argsort()

        def join(layer: int, kind: int) -> Tensor:
            padded = [
                torch.nn.functional.pad(part[layer][kind], (0, 0, 0, width - part[layer][kind].size(2)))
                for part in parts
            ]
            return torch.cat(padded).index_select(0, back.to(padded[0].device))

        return cls([(join(layer, 0), join(layer, 1)) for layer in range(len(parts[0]))])


class Past(Cache):
    """What a batch reads of the levels above it; with ``keep`` each layer also keeps what the batch itself adds."""

    def __init__(
        self,
        stored: list[Stored],
        parents: Sequence[Segment | None],
        layers: int,
        device: torch.device,
        *,
        keep: bool = False,
    ) -> None:
        distinct = {parent: place for place, parent in enumerate(dict.fromkeys(parents))}
        paths = [parent.path if parent else () for parent in distinct]
        rows = torch.tensor([distinct[parent] for parent in parents])
        above: list[tuple[Stored, Tensor, int]] = []
        masks = [torch.zeros(len(paths), 0, dtype=torch.bool)]
        for depth in range(max(map(len, paths))):
            lengths = torch.tensor([len(path[depth].tokens) if depth < len(path) else 0 for path in paths])
            places = torch.tensor([path[depth].index if depth < len(path) else 0 for path in paths])
            width = int(lengths.max())
            above.append((stored[depth], places.to(device), width))
            masks.append(torch.arange(width) < lengths[:, None])
        self.mask = torch.cat(masks, dim=1)[rows]
        """(B, S of all levels)."""
        each = None if len(distinct) == len(parents) else rows.to(device)
        super().__init__(layers=[_Layer(above, each, index, self.mask.size(1), keep) for index in range(layers)])


class _Layer(DynamicLayer):
    """Gathers its past when it is asked, so that one layer's is there at a time.

    ``above``: of each level, where the batch's distinct parents have their segment, and how much of it is read.
    ``rows``: which of these parents is each row's; None where all differ.
    """

    def __init__(
        self, above: list[tuple[Stored, Tensor, int]], rows: Tensor | None, index: int, length: int, keep: bool
    ) -> None:
        super().__init__()
        self._above, self._rows, self._index, self._length, self._keep = above, rows, index, length, keep

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        if self._keep:
            self.keys, self.values = key_states, value_states
        return self._behind(0, key_states), self._behind(1, value_states)

    def _behind(self, kind: int, own: Tensor) -> Tensor:
        if not self._length:
            return own
        heads, width, size = own.shape[1:]
        count = len(self._above[0][1])
        whole = own.new_zeros(count, heads, self._length + width, size)
        begin = 0
        for stored, places, read in self._above:
            segments = stored.layers[self._index][kind][:, :, :read]
            whole[:, :, begin : begin + read] = segments.index_select(0, places) if len(segments) > 1 else segments
            begin += read
        if self._rows is not None:  # one copy of each row's past, with room for what is its own
            whole = whole.index_select(0, self._rows)
        whole[:, :, begin:] = own
        return whole

    def get_seq_length(self) -> int:
        return self._length
