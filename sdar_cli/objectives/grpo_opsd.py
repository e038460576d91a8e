"""``grpo_opsd``: GRPO plus ungated self-distillation; a report must say which of the two forms it was.

uniform   L_GRPO + λ · mean_m( ½ · (logp_T − logp_S) )    ``sdar`` at β = 0: self-imitation, as released
signed    L_GRPO − λ · mean_m( sg(Δ) · logp_S )           the reverse-KL policy gradient
"""

from sdar_cli.objectives import distillation, grpo
from sdar_cli.objectives.objective import Objective

OBJECTIVE = Objective(
    name="grpo_opsd",
    formula="L_GRPO + λ·mean(½·(logp_T − logp_S)), or −λ·mean(sg(Δ)·logp_S) (signed)",
    source="baseline of arXiv 2605.15155; signed: Gu et al. 2023, arXiv 2306.08543, eq. 2",
    term=distillation.distillation,
    forms=("uniform", "signed"),
    settings=grpo.OBJECTIVE.settings | {"teacher", "distill"},
    teaches=distillation.teaches,
    needs=distillation.needs,
)
