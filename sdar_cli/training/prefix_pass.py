"""Log-probs without gradient, each shared beginning of the prompts computed once (``prefixes.py``).

Level by level, segments run on the keys and values of those above them, and then every sequence on those of its
prompt. Positions are those of the sequence without padding, and the attention mask leaves padding out, so that the
numbers are a plain forward pass's. Keys and values live as long as the call: no weight can change meanwhile.

Shapes: B sequences or segments, W their tokens here, S those of a level above, H heads, D a head's size.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from sdar_cli.training.prefixes import CALL, Plan, Segment, plan
from sdar_cli.training.trl_seam import log_probs_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

PAST = 0.25
"""Memory of a token whose keys and values are read, over that of a token computed: one layer's are gathered at a
time, beside the activations of its queries."""
ARGUMENTS = {"input_ids", "attention_mask", "position_ids", "past_key_values", "logits_to_keep"}
ATTENTION = ("sdpa", "eager")


@dataclass(frozen=True, slots=True)
class Target:
    """A completion to score: the tokens where ``mask`` is 1."""

    prompt: Sequence[int]
    completion: Sequence[int]
    mask: Sequence[int]


@dataclass(frozen=True, slots=True)
class Runner:
    """A model with TRL's fused head, and how to run it.

    ``shared``: whether segments are computed once, for models of which ``shares_prefixes`` says that they can be.
    ``budget``: padded tokens of a forward pass, and tokens whose keys and values are held at a time.
    """

    model: PreTrainedModel
    shared: bool
    layers: int
    pad: int
    device: torch.device
    budget: int
    autocast: Callable[[], AbstractContextManager]

    @torch.no_grad()
    def log_probs(self, targets: Sequence[Target]) -> list[Tensor]:
        """(T_i,) on the CPU for each target, after temperature; 0 where the mask is. Equal targets are scored
        once."""
        same: dict[tuple, int] = {}
        each = [
            same.setdefault((tuple(t.prompt), tuple(t.completion), tuple(t.mask)), place)
            for place, t in enumerate(targets)
        ]
        firsts = list(same.values())
        found = dict(zip(firsts, self._log_probs([targets[place] for place in firsts]), strict=True))
        return [found[place] for place in each]

    def _log_probs(self, targets: Sequence[Target]) -> list[Tensor]:
        out: list[Tensor | None] = [None] * len(targets)
        alone = [(list(range(len(targets))), Plan([], [None] * len(targets)))]
        for places, planned in _plans(targets, self.budget) if self.shared else alone:
            stored: list[_Stored] = []
            for level in planned.levels:
                stored.append(self._store(level, stored))
            starts = [parent.stop if parent else 0 for parent in planned.parents]
            own = [
                [*targets[place].prompt[start:], *targets[place].completion]
                for place, start in zip(places, starts, strict=True)
            ]
            for batch in _batches(own, planned.parents, self.budget):
                chosen = [targets[places[i]] for i in batch]
                logps = self._score(chosen, [own[i] for i in batch], [planned.parents[i] for i in batch], stored)
                for i, target, values in zip(batch, chosen, logps, strict=True):
                    length = len(target.completion)
                    end = len(own[i]) - 1
                    out[places[i]] = values[end - length : end].clone()
        return out

    def _store(self, level: Sequence[Segment], stored: list[_Stored]) -> _Stored:
        tokens, parents = [segment.tokens for segment in level], [segment.parent for segment in level]
        parts, order = [], []
        for batch in _batches(tokens, parents, self.budget):
            chosen = [parents[i] for i in batch]
            cache = _Level(stored, chosen, self.layers, self.device, keep=True)
            inputs = self._inputs([tokens[i] for i in batch], chosen, cache)
            with self.autocast():
                self.model(**inputs, use_cache=True, logits_to_keep=1)
            parts.append([(layer.keys, layer.values) for layer in cache.layers])
            order += batch
        return _Stored.of(parts, order)

    def _score(
        self, targets: list[Target], tokens: list[list[int]], parents: list[Segment | None], stored: list[_Stored]
    ) -> Tensor:
        """(B, W − 1), aligned with the tokens from the second on."""
        cache = _Level(stored, parents, self.layers, self.device) if any(parents) else None
        inputs = self._inputs(tokens, parents, cache)
        labels = torch.full(inputs["input_ids"].shape, -100)
        for row, target, own in zip(labels, targets, tokens, strict=True):
            wanted = torch.tensor(target.completion).masked_fill(torch.tensor(target.mask) == 0, -100)
            row[len(own) - len(wanted) : len(own)] = wanted
        with self.autocast():
            found = log_probs_of(self.model, **inputs, labels=labels.to(self.device))
        dtype = torch.promote_types(found.log_probs.dtype, torch.float32)
        return found.log_probs.to("cpu", dtype)

    def _inputs(self, tokens: Sequence[Sequence[int]], parents: Sequence[Segment | None], cache: _Level | None) -> dict:
        width = max(map(len, tokens))
        ids = torch.tensor([[*own, *[self.pad] * (width - len(own))] for own in tokens])
        steps = torch.arange(width)
        mask = steps < torch.tensor([[len(own)] for own in tokens])
        inputs = {"input_ids": ids.to(self.device)}
        if cache is not None:
            mask = torch.cat([cache.mask, mask], dim=1)
            starts = torch.tensor([[parent.stop if parent else 0] for parent in parents])
            inputs |= {"position_ids": (starts + steps).to(self.device), "past_key_values": cache}
        inputs["attention_mask"] = mask.to(self.device)
        return inputs


def shares_prefixes(model: PreTrainedModel) -> bool:
    """Whether every layer attends to all tokens before, and keeps its keys and values as they are.

    Not so with sliding windows, recurrent layers or layers that share keys; nor do we trust it of a model that reads
    more than text, or of attention that has not been compared.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = causal.config
    if config.get_text_config() is not config or getattr(config, "is_encoder_decoder", False):
        return False
    layers = DynamicCache(config=config).layers
    return (
        [type(layer) for layer in layers] == [DynamicLayer] * config.num_hidden_layers
        and config._attn_implementation in ATTENTION
        and inspect.signature(type(causal).forward).parameters.keys() >= ARGUMENTS
    )


@dataclass(frozen=True, slots=True)
class _Stored:
    """A level's keys and values, (segments, H, S, D) for each layer, padded on the right."""

    layers: list[tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, parts: list[list[tuple[Tensor, Tensor]]], order: list[int]) -> _Stored:
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


class _Level(Cache):
    """What a batch reads of the levels above it; with ``keep`` each layer also keeps what the batch itself adds."""

    def __init__(
        self,
        stored: list[_Stored],
        parents: Sequence[Segment | None],
        layers: int,
        device: torch.device,
        *,
        keep: bool = False,
    ) -> None:
        paths = [parent.path if parent else () for parent in parents]
        above: list[tuple[_Stored, Tensor, int]] = []
        masks = [torch.zeros(len(paths), 0, dtype=torch.bool)]
        for depth in range(max(map(len, paths))):
            lengths = torch.tensor([len(path[depth].tokens) if depth < len(path) else 0 for path in paths])
            places = torch.tensor([path[depth].index if depth < len(path) else 0 for path in paths])
            width = int(lengths.max())
            above.append((stored[depth], places.to(device), width))
            masks.append(torch.arange(width) < lengths[:, None])
        self.mask = torch.cat(masks, dim=1)
        """(B, S of all levels)."""
        super().__init__(layers=[_Layer(above, index, self.mask.size(1), keep) for index in range(layers)])


class _Layer(DynamicLayer):
    """Gathers its past when it is asked, so that one layer's is there at a time."""

    def __init__(self, above: list[tuple[_Stored, Tensor, int]], index: int, length: int, keep: bool) -> None:
        super().__init__()
        self._above, self._index, self._length, self._keep = above, index, length, keep

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        if self._keep:
            self.keys, self.values = key_states, value_states
        return self._behind(0, key_states), self._behind(1, value_states)

    def _behind(self, kind: int, own: Tensor) -> Tensor:
        if not self._above:
            return own
        parts = []
        for stored, places, width in self._above:
            segments = stored.layers[self._index][kind][:, :, :width]
            one = segments.size(0) == 1
            parts.append(segments.expand(len(places), -1, -1, -1) if one else segments.index_select(0, places))
        return torch.cat([*parts, own], dim=2)

    def get_seq_length(self) -> int:
        return self._length


def _plans(targets: Sequence[Target], most: int) -> Iterator[tuple[list[int], Plan]]:
    """Places of targets and the plan for them, in parts that hold at most so many tokens' keys and values."""
    todo = [sorted(range(len(targets)), key=lambda place: (targets[place].prompt, place))] if targets else []
    while todo:
        places = todo.pop()
        planned = plan([targets[place].prompt for place in places])
        if planned.kept_tokens > most and len(places) > 1:
            half = len(places) // 2
            todo += [places[half:], places[:half]]
        else:
            yield places, planned


def _batches(tokens: Sequence[Sequence[int]], parents: Sequence[Segment | None], budget: int) -> list[list[int]]:
    """Places in batches of like length: one more where it saves more padding than a forward pass costs, none above
    the budget but for a single one."""
    depth = [len(parent.path) if parent else 0 for parent in parents]
    past = [parent.stop if parent else 0 for parent in parents]
    order = sorted(range(len(tokens)), key=lambda i: (len(tokens[i]), depth[i], past[i], i))
    batches: list[list[int]] = []
    for low, high in pairwise(_cuts([len(tokens[i]) for i in order])):
        width, behind = len(tokens[order[high - 1]]), 0
        for number, place in enumerate(order[low:high]):
            behind = max(behind, past[place])
            if not number or (width + PAST * behind) * (len(batches[-1]) + 1) > budget:
                batches.append([])
                behind = past[place]
            batches[-1].append(place)
    return batches


def _cuts(widths: Sequence[int]) -> list[int]:
    """Where to cut ascending widths so that padded tokens, and ``CALL`` for each part, are fewest."""
    ends = [i for i in range(1, len(widths) + 1) if i == len(widths) or widths[i] != widths[i - 1]]
    best: list[tuple[int, int]] = [(0, 0)]
    starts = [0, *ends]
    for end in ends:
        best.append(
            min(
                (cost + CALL + widths[end - 1] * (end - start), place)
                for place, (start, (cost, _)) in enumerate(zip(starts, best, strict=False))
            )
        )
    cuts, place = [], len(ends)
    while place:
        cuts.append(starts[place])
        place = best[place][1]
    return [0, *reversed(cuts)]
