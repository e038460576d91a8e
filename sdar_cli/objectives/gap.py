"""The gap between teacher and student, safe against underflow and against what is masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.objective import Tokens
    from sdar_cli.objectives.settings import Settings

FLOOR = -1e4
"""Log-probabilities are clamped here, so that an underflow to −inf is a large gap and not a NaN."""


def selected(values: Tensor, mask: Tensor) -> Tensor:
    """Log-probs at response tokens, clamped; 0 elsewhere. Selects, never multiplies: NaN · 0 is NaN."""
    return values.masked_fill(~mask.bool(), 0.0).clamp(min=FLOOR)


def token_gap(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Δ = logp_T − logp_S, (B, T), 0 where masked; the teacher is detached, the student as it comes."""
    return selected(teacher.detach(), mask) - selected(student, mask)


def gate_input(gap: Tensor, tokens: Tokens, settings: Settings) -> Tensor:
    """The gap as the gate sees it (``gate.normalise``).

    ``zscore``: (Δ − mean) / std over the response tokens of the whole rollout. ``turn_mean``: less the mean
    over its own turn's response tokens, so that a gate compares tokens within a turn only.
    """
    if settings.normalise == "zscore":
        return (gap - tokens.gap_mean) / max(tokens.gap_std, 1e-6)
    if settings.normalise == "turn_mean":
        return (gap - _turn_means(gap, tokens)).masked_fill(~tokens.mask.bool(), 0.0)
    return gap


def _turn_means(gap: Tensor, tokens: Tokens) -> Tensor:
    chosen = tokens.mask.bool()
    turns = tokens.turns
    width = int(turns.max()) + 1 if turns.numel() else 1
    sums = gap.new_zeros(gap.size(0), width).scatter_add(1, turns, gap.masked_fill(~chosen, 0.0))
    counts = gap.new_zeros(gap.size(0), width).scatter_add(1, turns, chosen.to(gap.dtype))
    return (sums / counts.clamp(min=1.0)).gather(1, turns)
