"""``sdar``: GRPO plus the gated on-policy self-distillation term.

    L = L_GRPO + λ · mean_m( sg(g) · (logp_T − logp_S) ),   g = σ(β·Δ) or another gate

At λ = 0 it is ``grpo``, bit for bit.
"""

from sdar_cli.objectives import distillation, grpo
from sdar_cli.objectives.objective import Objective

OBJECTIVE = Objective(
    name="sdar",
    formula="L_GRPO + λ·mean(sg(g)·(logp_T − logp_S)), g = σ(β·Δ)",
    source="Self-Distilled Agentic Reinforcement Learning, arXiv 2605.15155",
    term=distillation.distillation,
    forms=("gated",),
    settings=grpo.OBJECTIVE.settings | {"teacher", "distill", "gate"},
    teaches=distillation.teaches,
    needs=distillation.needs,
)
