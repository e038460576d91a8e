"""The distillation term in its three forms; ``sdar``, ``opsd`` and ``grpo_opsd`` are made of it.

    gated     λ · mean_m( g · (logp_T − logp_S) )
    uniform   the same with g = ½ (β = 0)
    signed    −λ · mean_m( sg(Δ) · logp_S )

or, with a full-vocabulary divergence D (objectives/divergences.py), λ · mean_m( g · D ) for any form but
``signed``. mean_m divides by the response tokens of the whole optimiser update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.objectives.gap import gate_input, selected, token_gap
from sdar_cli.objectives.gates import GATES
from sdar_cli.objectives.objective import Needs, Term

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.objective import Tokens
    from sdar_cli.objectives.settings import Settings


def distillation(tokens: Tokens, settings: Settings) -> Term:
    """The term of one micro-batch. An empty mask gives loss 0 and gradient 0.

    With the gate detached, a token's gradient with respect to its own log-probability is −λ·g/n, of size
    at most λ/n (SDAR, arXiv 2605.15155).
    """
    if settings.form == "signed":
        return _signed(tokens, settings)
    gap = token_gap(tokens.student, tokens.teacher, tokens.mask)
    gate = _gate(gap, tokens, settings)
    if tokens.divergence is not None:
        weighted = gate * tokens.divergence.masked_fill(~tokens.mask.bool(), 0.0)
    else:
        weighted = gate * gap
    loss = settings.coef * weighted.sum() / tokens.normaliser
    return Term(loss, gap.detach(), gate.detach())


def _gate(gap: Tensor, tokens: Tokens, settings: Settings) -> Tensor:
    if settings.form == "uniform":
        gate = gap.new_full(gap.shape, 0.5)
    else:
        seen, entropy = gate_input(gap, tokens, settings), tokens.entropy
        if entropy is not None:
            entropy = entropy.masked_fill(~tokens.mask.bool(), 0.0)
        if settings.detach:
            seen, entropy = seen.detach(), entropy if entropy is None else entropy.detach()
        gate = GATES[settings.gate](seen, entropy, settings.beta)
    return gate.masked_fill(~tokens.mask.bool(), 0.0)


def _signed(tokens: Tokens, settings: Settings) -> Term:
    """The reverse-KL policy gradient: E[−Δ·∇logp_S] is ∇KL(student ‖ teacher) for on-policy samples."""
    gap = token_gap(tokens.student, tokens.teacher, tokens.mask).detach()
    loss = -settings.coef * (gap * selected(tokens.student, tokens.mask)).sum() / tokens.normaliser
    return Term(loss, gap)


def teaches(settings: Settings) -> bool:
    """At λ = 0 there is no term, and no teacher runs."""
    return settings.coef > 0


def needs(settings: Settings) -> Needs:
    """A teacher where λ > 0; the rollout-time student too where the gate is standardised over the rollout."""
    on = teaches(settings)
    zscore = settings.form == "gated" and settings.normalise == "zscore"
    return Needs(teacher=on, old=on and zscore)
