"""``skill_sd``: GRPO plus an importance-weighted k3 divergence to the teacher.

    L = L_GRPO + λ · mean_m( ρ · (e^{−ℓ} − 1 + ℓ) ),   ℓ = logp_S − sg(logp_T),   ρ = exp(logp_S − logp_old)

with −ℓ and log ρ clamped at 20 and 10; λ = 0.001. The gradient flows through ρ too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.objectives import distillation, grpo
from sdar_cli.objectives.gap import selected, token_gap
from sdar_cli.objectives.objective import Needs, Objective, Term

if TYPE_CHECKING:
    from sdar_cli.objectives.objective import Tokens
    from sdar_cli.objectives.settings import Settings

MOST_GAP = 20.0
MOST_LOG_RATIO = 10.0


def term(tokens: Tokens, settings: Settings) -> Term:
    """The divergence term of one micro-batch; a clamp cuts the gradient only beyond its border."""
    gap = token_gap(tokens.student, tokens.teacher, tokens.mask)
    clamped = gap.clamp(max=MOST_GAP)
    log_ratio = selected(tokens.student, tokens.mask) - selected(tokens.old.detach(), tokens.mask)
    ratio = log_ratio.clamp(max=MOST_LOG_RATIO).exp()
    k3 = clamped.expm1() - clamped
    loss = settings.coef * (ratio * k3).sum() / tokens.normaliser
    return Term(loss, gap.detach())


OBJECTIVE = Objective(
    name="skill_sd",
    formula="L_GRPO + λ·mean(ρ·(e^−ℓ − 1 + ℓ)), ℓ = logp_S − logp_T",
    source="skill self-distillation, as released with arXiv 2605.15155; k3: Schulman 2020",
    term=term,
    settings=grpo.OBJECTIVE.settings | {"teacher", "distill.coef", "distill.schedule"},
    teaches=distillation.teaches,
    needs=lambda settings: Needs(teacher=distillation.teaches(settings)),
)
