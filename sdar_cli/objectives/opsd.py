"""``opsd``: on-policy self-distillation alone, without a policy-gradient term, as SDAR's authors released it.

    L = λ · mean_m( sg(g) · (logp_T − logp_S) ) + kl_coef · mean_m( k3 )

``distill.form=signed`` gives the true reverse-KL gradient instead. Rewards have no part in it. A baseline:
it is reported to collapse within 100 to 200 steps of multi-turn training.
"""

from sdar_cli.objectives import distillation
from sdar_cli.objectives.objective import Objective

OBJECTIVE = Objective(
    name="opsd",
    formula="λ·mean(sg(g)·(logp_T − logp_S)) + k3, no reward",
    source="released code of arXiv 2605.15155",
    term=distillation.distillation,
    policy=False,
    ratio=False,
    forms=("gated", "signed"),
    settings=frozenset({"teacher", "distill", "gate"}),
    teaches=distillation.teaches,
    needs=distillation.needs,
)
