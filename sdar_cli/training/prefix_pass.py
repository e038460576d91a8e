"""Log-probs without gradient, each shared beginning of the prompts computed once (``prefixes.py``).

Level by level, segments run on the keys and values of those above them, and then every sequence on those of its
prompt. Positions are those of the sequence without padding, and the attention mask leaves padding out, so that the
numbers are a plain forward pass's. Keys and values live as long as the call: no weight can change meanwhile.

All forward passes are known before the first of them runs. Where weights lie in parts, a layer waits for all ranks at
each pass; so ranks agree beforehand on the number that the busiest needs, and the others run idle passes of one token.

Shapes: B sequences, W their own tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from sdar_cli.training.prefix_cache import Past, Stored
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
ROTATED_BY_LENGTH = {"dynamic", "longrope"}
"""Transformers' rotary positions whose frequencies change with the length of the sequence."""


@dataclass(frozen=True, slots=True)
class Target:
    """A completion to score: the tokens where ``mask`` is 1."""

    prompt: Sequence[int]
    completion: Sequence[int]
    mask: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Part:
    """Targets that are scored on the same keys and values, and the forward passes that this takes."""

    places: list[int]
    planned: Plan
    levels: list[list[list[int]]]
    """Batches of each level's segments."""
    batches: list[list[int]]
    """Of targets."""

    def own(self, targets: Sequence[Target], i: int) -> list[int]:
        """Of the i-th target, the tokens that no segment holds."""
        target, parent = targets[self.places[i]], self.planned.parents[i]
        return [*target.prompt[parent.stop if parent else 0 :], *target.completion]

    @property
    def forwards(self) -> int:
        return sum(map(len, self.levels)) + len(self.batches)


@dataclass(frozen=True, slots=True)
class Runner:
    """A model with TRL's fused head, and how to run it.

    ``shared``: whether segments are computed once, for models of which ``shares_prefixes`` says that they can be.
    ``budget``: padded tokens of a forward pass, and tokens whose keys and values are held at a time.
    ``forwards``: told how many forward passes this rank needs, how many there shall be; every rank is asked once.
    """

    model: PreTrainedModel
    shared: bool
    layers: int
    pad: int
    device: torch.device
    budget: int
    autocast: Callable[[], AbstractContextManager]
    forwards: Callable[[int], int] = int

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
        parts = self._parts(targets)
        needed = sum(part.forwards for part in parts)
        idle = self.forwards(needed) - needed
        for part in parts:
            stored: list[Stored] = []
            for level, batches in zip(part.planned.levels, part.levels, strict=True):
                stored.append(self._store(level, batches, stored))
            for batch in part.batches:
                chosen = [targets[part.places[i]] for i in batch]
                own = [part.own(targets, i) for i in batch]
                logps = self._score(chosen, own, [part.planned.parents[i] for i in batch], stored)
                for i, target, tokens, values in zip(batch, chosen, own, logps, strict=True):
                    end = len(tokens) - 1
                    out[part.places[i]] = values[end - len(target.completion) : end].clone()
        for _ in range(idle):
            with self.autocast():
                self.model(input_ids=torch.tensor([[self.pad]], device=self.device), use_cache=False)
        return out

    def _parts(self, targets: Sequence[Target]) -> list[_Part]:
        alone = [(list(range(len(targets))), Plan([], [None] * len(targets)))]
        out = []
        for places, planned in _plans(targets, self.budget) if self.shared else alone:
            levels = [
                _batches([len(segment.tokens) for segment in level], [segment.parent for segment in level], self.budget)
                for level in planned.levels
            ]
            widths = [
                len(targets[place].prompt) - (parent.stop if parent else 0) + len(targets[place].completion)
                for place, parent in zip(places, planned.parents, strict=True)
            ]
            out.append(_Part(places, planned, levels, _batches(widths, planned.parents, self.budget)))
        return out

    def _store(self, level: Sequence[Segment], batches: list[list[int]], stored: list[Stored]) -> Stored:
        parts = []
        for batch in batches:
            parents = [level[i].parent for i in batch]
            cache = Past(stored, parents, self.layers, self.device, keep=True)
            inputs = self._inputs([level[i].tokens for i in batch], parents, cache)
            with self.autocast():
                self.model(**inputs, use_cache=True, logits_to_keep=1)
            parts.append([(layer.keys, layer.values) for layer in cache.layers])
        return Stored.of(parts, [i for batch in batches for i in batch])

    def _score(
        self, targets: list[Target], tokens: list[list[int]], parents: list[Segment | None], stored: list[Stored]
    ) -> Tensor:
        """(B, W − 1), aligned with the tokens from the second on."""
        cache = Past(stored, parents, self.layers, self.device) if any(parents) else None
        inputs = self._inputs(tokens, parents, cache)
        width = inputs["input_ids"].size(1)
        labels = torch.tensor([_labels(target, len(own), width) for target, own in zip(targets, tokens, strict=True)])
        with self.autocast():
            found = log_probs_of(self.model, **inputs, labels=labels.to(self.device))
        dtype = torch.promote_types(found.log_probs.dtype, torch.float32)
        return found.log_probs.to("cpu", dtype)

    def _inputs(self, tokens: Sequence[Sequence[int]], parents: Sequence[Segment | None], cache: Past | None) -> dict:
        width = max(map(len, tokens))
        ids = torch.tensor([[*own, *[self.pad] * (width - len(own))] for own in tokens])
        steps = torch.arange(width)
        inputs = {"input_ids": ids.to(self.device)}
        if cache is not None:
            inputs["past_key_values"] = cache
        if any(parents):  # else padding is at the end, where no token looks
            mask = torch.cat([cache.mask, steps < torch.tensor([[len(own)] for own in tokens])], dim=1)
            starts = torch.tensor([[parent.stop if parent else 0] for parent in parents])
            inputs |= {"position_ids": (starts + steps).to(self.device), "attention_mask": mask.to(self.device)}
        return inputs


def shares_prefixes(model: PreTrainedModel) -> bool:
    """Whether every layer attends to all tokens before, and keeps its keys and values as they are.

    Not so with sliding windows, recurrent layers or layers that share keys, nor where early keys are rotated by the
    length of the whole sequence; nor do we trust it of a model that reads more than text, or of attention that has not
    been compared.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = causal.config
    if config.get_text_config() is not config or getattr(config, "is_encoder_decoder", False):
        return False
    if ROTATED_BY_LENGTH & _rotations(getattr(config, "rope_parameters", None) or {}):
        return False
    layers = DynamicCache(config=config).layers
    return (
        [type(layer) for layer in layers] == [DynamicLayer] * config.num_hidden_layers
        and config._attn_implementation in ATTENTION
        and inspect.signature(type(causal).forward).parameters.keys() >= ARGUMENTS
    )


def _rotations(parameters: Mapping[str, Any]) -> set[str]:
    """The kinds of a model's rotary positions, which some models have of each kind of layer."""
    inner = [own for own in parameters.values() if isinstance(own, dict)]
    return {str(own.get("rope_type")) for own in (parameters, *inner)}


def _labels(target: Target, own: int, width: int) -> list[int]:
    """Of a row that ends with the target's completion, at ``own`` of ``width`` tokens."""
    wanted = [token if asked else -100 for token, asked in zip(target.completion, target.mask, strict=True)]
    return [-100] * (own - len(wanted)) + wanted + [-100] * (width - own)


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


def _batches(widths: Sequence[int], parents: Sequence[Segment | None], budget: int) -> list[list[int]]:
    """Places in batches of like length: one more where it saves more padding than a forward pass costs, none above
    the budget but for a single one."""
    depth = [len(parent.path) if parent else 0 for parent in parents]
    past = [parent.stop if parent else 0 for parent in parents]
    order = sorted(range(len(widths)), key=lambda i: (widths[i], depth[i], past[i], i))
    batches: list[list[int]] = []
    for low, high in pairwise(_cuts([widths[i] for i in order])):
        width, behind = widths[order[high - 1]], 0
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
