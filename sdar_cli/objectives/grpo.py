"""``grpo``: Group Relative Policy Optimisation, the backbone of the others.

    L = −mean_m( min( r·A, clip(r, 1 ± ε)·A ) ) + kl_coef · mean_m( k3 ),   r = exp(logp_S − logp_old)

with A of ``advantages.group_baseline``. TRL's ``GRPOTrainer`` computes this loss.
"""

from sdar_cli.objectives.objective import Objective

OBJECTIVE = Objective(
    name="grpo",
    formula="L_GRPO",
    source="Shao et al. 2024, arXiv 2402.03300, eq. 3",
    settings=frozenset({"policy.clip", "policy.dual_clip", "policy.advantage"}),
)
