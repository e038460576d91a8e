"""Samples of another engine: how far its log-probs are from the policy's own, and what that does to the loss.

vLLM computes in other kernels and another order, so that it samples from μ, a little beside the policy π. Each
token's policy loss is multiplied by min(π/μ, ``IMPORTANCE_CAP``): truncated importance sampling, Ionides (2008);
for language models Yao et al. (2025), "Your efficient RL framework secretly brings you off-policy RL training".
With ``top_p`` or ``top_k`` μ is what is left after the cut, and the weight is the share of π that was kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from sdar_cli.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.training.rows import Row

IMPORTANCE_CAP = 2.0
"""Upper bound of π/μ: one unlikely token shall not outweigh the rest."""


def importance_ratios(rows: Sequence[Row], policy: Sequence[Tensor]) -> list[Tensor]:
    """π/μ of every token, capped; (T_i,) a row.

    Args:
        policy: log π at rollout time, after temperature; (T_i,) a row.

    Raises:
        UserError: a row has no log-probs of its sampler, as of a replay that another engine recorded.
    """
    if any(row.sampler_logprobs is None for row in rows):
        raise UserError(
            "an episode lacks its sampler's log-probs, which engine.kind=vllm needs: set engine.kind=hf, as it was "
            "recorded"
        )
    return [
        torch.exp(own - torch.tensor(row.sampler_logprobs)).clamp(max=IMPORTANCE_CAP)
        for own, row in zip(policy, rows, strict=True)
    ]


def logp_difference(
    rows: Sequence[Row], policy: Sequence[Tensor], gather: Callable[[list], list] = list
) -> dict[str, float]:
    """|log π − log μ| over the rollout's response tokens, mean and largest, and the share of capped weights."""
    total, largest, capped, count = 0.0, 0.0, 0, 0
    for row, own in zip(rows, policy, strict=True):
        gap = (own - torch.tensor(row.sampler_logprobs)).double()[torch.tensor(row.mask).bool()]
        total += float(gap.abs().sum())
        largest = max(largest, float(gap.abs().max()))
        capped += int((gap.exp() > IMPORTANCE_CAP).sum())
        count += len(gap)
    parts = gather([(total, largest, capped, count)])
    everything = max(1, sum(part[3] for part in parts))
    return {
        "sampling/logp_difference/mean": sum(part[0] for part in parts) / everything,
        "sampling/logp_difference/max": max(part[1] for part in parts),
        "sampling/capped": sum(part[2] for part in parts) / everything,
    }
