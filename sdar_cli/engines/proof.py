"""Does the engine hold the trainer's weights? Sums over every tensor's bits, its own against ours.

Sampled against recomputed log-probs cannot tell at a learning rate of 1e-6: one step moves them by less than two
implementations differ. A bit that differs moves a sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RunFailed, UserError

if TYPE_CHECKING:
    from torch import Tensor

ENOUGH = 0.9
"""Least share of the weights that must be comparable."""

_MODULUS = 1 << 64


class StaleWeights(RunFailed):
    """The engine's weights are not those of the policy that it samples for."""


@dataclass(slots=True)
class Expected:
    """Sums of what was given to an engine, by tensor and dtype; an engine may hold another dtype than ours."""

    dtypes: tuple[str, ...]
    """The dtypes that the engine holds weights in, as torch names them."""
    tensors: dict[str, tuple[dict[str, int], int]] = field(default_factory=dict)
    """Name → (dtype → sum, elements)."""

    def watch(self, named: Iterable[tuple[str, Tensor]]) -> Iterable[tuple[str, Tensor]]:
        """Pass tensors on, and remember their sums."""
        for name, tensor in named:
            self.add(name, tensor)
            yield name, tensor

    def add(self, name: str, tensor: Tensor) -> None:
        import torch

        from sdar_cli.engines.fingerprint import bit_sum

        sums = {dtype: bit_sum(tensor.to(getattr(torch, dtype))) for dtype in self.dtypes}
        self.tensors[name] = sums, tensor.numel()


def dtypes_held(reports: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The dtypes of floating-point weights in workers' reports."""
    kinds = {str(dtype) for report in reports for _, _, dtype in [*report["weights"].values()]}
    kinds |= {str(dtype) for report in reports for _, _, dtype in [*report["adapter"].values()]}
    return tuple(sorted(kind for kind in kinds if kind in ("float32", "bfloat16", "float16")))


def check(expected: Expected, reports: Sequence[Mapping[str, Any]], where: str, part: str = "weights") -> None:
    """Compare an engine's workers with what they were given.

    Args:
        reports: of each worker, as ``fingerprint.describe`` makes it.
        where: names the engine in an error.
        part: ``weights``, or ``adapter``.

    Raises:
        StaleWeights: a tensor differs.
        UserError: too little can be compared.
    """
    wrong, compared, total = compare(expected, reports, part)
    if wrong:
        raise StaleWeights(
            f"{where} does not hold the policy's weights after they were sent ({len(wrong)} tensors differ, the first "
            f"is {wrong[0]}): the run is stopped, as it would learn from another policy's samples; restart the engine "
            "and resume the run"
        )
    if not compared or compared < ENOUGH * total:
        raise UserError(
            f"only {compared / max(1, total):.0%} of the weights of {where} can be compared with the policy's, as it "
            "is quantised or renames them: serve the model unquantised, or set engine.proof=false to trust it"
        )


def compare(
    expected: Expected, reports: Sequence[Mapping[str, Any]], part: str = "weights"
) -> tuple[list[str], int, int]:
    """Names that differ, and the number of elements that were compared and that there are."""
    fused = reports[0]["fused"] if reports else {}
    groups = _grouped(expected, fused)
    wrong: list[str] = []
    compared = 0
    for name, (sums, elements) in groups.items():
        held = [report[part].get(name) for report in reports]
        if not held or any(value is None for value in held):
            continue
        # An engine rounds vocabularies and an adapter's rank up; the rest is zero.
        padded = part == "adapter" or "embed" in name or "lm_head" in name
        answer = _same(sums, elements, held, padded)
        if answer is None:
            continue
        compared += elements
        if not answer:
            wrong.append(name)
    return wrong, compared, sum(elements for _, elements in groups.values())


def _grouped(expected: Expected, fused: Mapping[str, str]) -> dict[str, tuple[dict[str, int], int]]:
    """The expected sums under the engine's names: what it fuses is added up."""
    out: dict[str, tuple[dict[str, int], int]] = {}
    for name, (sums, elements) in expected.tensors.items():
        own = ".".join(fused.get(word, word) for word in name.split("."))
        before, count = out.get(own, (dict.fromkeys(sums, 0), 0))
        out[own] = {d: (before[d] + s) % _MODULUS for d, s in sums.items()}, count + elements
    return out


def _same(sums: Mapping[str, int], elements: int, held: Sequence[Sequence[Any]], padded: bool) -> bool | None:
    """Whether the workers' shards add up to the tensor, or each holds it whole; None: neither can be."""
    dtype = held[0][2]
    if dtype not in sums:
        return None
    own = [int(value[0]) for value in held]
    sizes = [value[1] for value in held]
    sharded = sum(own) % _MODULUS == sums[dtype]
    if len(held) > 1 and all(size == elements for size in sizes):
        return all(value == sums[dtype] for value in own)
    fits = sum(sizes) == elements or (padded and sum(sizes) > elements)
    return sharded if fits else None
