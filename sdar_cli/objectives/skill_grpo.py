"""``skill_grpo``: GRPO with the skills in the policy's own prompt while training.

    L = L_GRPO, on prompts that hold the skills

Its knowledge may stay in the prompt: evaluate it with and without skills.
"""

from sdar_cli.objectives import grpo
from sdar_cli.objectives.objective import Objective

OBJECTIVE = Objective(
    name="skill_grpo",
    formula="L_GRPO, skills in the policy's prompt",
    source="baseline of arXiv 2605.15155",
    skills_in_prompt=True,
    settings=grpo.OBJECTIVE.settings,
)
