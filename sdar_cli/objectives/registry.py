"""Every objective by its name (``method`` in a recipe)."""

from __future__ import annotations

from sdar_cli.objectives import (
    agent_opsd,
    grpo,
    grpo_opsd,
    opsd,
    ppo_kl,
    reinforce,
    rloo,
    rlsd,
    sdar,
    skill_grpo,
    skill_sd,
)
from sdar_cli.objectives.objective import Objective

OBJECTIVES: dict[str, Objective] = {
    module.OBJECTIVE.name: module.OBJECTIVE
    for module in (
        grpo,
        sdar,
        opsd,
        grpo_opsd,
        skill_grpo,
        rlsd,
        skill_sd,
        agent_opsd,
        rloo,
        reinforce,
        ppo_kl,
    )
}
