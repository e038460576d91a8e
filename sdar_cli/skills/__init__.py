"""Skills: short markdown texts that a teacher (or a policy) is shown beside its prompt.

bank = bank_for(recipe.skills, environment)
retriever = make_retriever(bank, recipe.skills, seed)
block = render_block(retriever.retrieve(task_type=task.task_type, text=goal, key=task.id))
messages = insert_block(messages, block, recipe.skills.placement)
retriever.observe([Outcome(names, success) ...])     # once a rollout, for the rules that learn
"""

from sdar_cli.skills.bank import Skill, SkillBank, bank_for
from sdar_cli.skills.block import insert_block, render_block
from sdar_cli.skills.retrieval import RETRIEVERS, Outcome, Retrieval, Retriever, make_retriever

__all__ = [
    "RETRIEVERS",
    "Outcome",
    "Retrieval",
    "Retriever",
    "Skill",
    "SkillBank",
    "bank_for",
    "insert_block",
    "make_retriever",
    "render_block",
]
