"""A prompt as the policy reads it, for the card: the first of an episode, made by the recipe's own environment."""

from __future__ import annotations

from sdar_cli.environments import build_environment
from sdar_cli.export.markdown import code, fenced
from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import History, Message

LONGEST = 2000
"""Letters of a message that are shown."""


def example(recipe: Recipe) -> str:
    """A section of Markdown; empty where the environment's data or packages are not here."""
    try:
        found = _first_prompt(recipe)
    except Exception:  # data that are absent, or somebody else's environment: a card can do without
        return ""
    if found is None:
        return ""
    task, messages = found
    blocks = [f"**{message['role']}**\n\n{fenced(cut(message['content']))}" for message in messages]
    return "\n\n".join([f"The first prompt of the task {code(task)}, before the template, without skills:", *blocks])


def cut(text: str) -> str:
    """A text's beginning, where it is long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…\n(cut: {len(text) - LONGEST:,} more letters)"


def _first_prompt(recipe: Recipe) -> tuple[str, list[Message]] | None:
    """Of the first training task: its id and the messages; None where the episode does not start."""
    environment = build_environment(recipe.environment)
    try:
        task = environment.tasks(environment.splits[0])[0]
        with Pool(type(environment), environment.options, workers=1, timeout=recipe.environment.timeout) as pool:
            first = pool.reset({0: task})[0]
        if isinstance(first, SlotError):
            return None
        goal = environment.goal(task, first)
        return task.id, environment.prompt(History(task, goal, (), first, recipe.rollout.history))
    finally:
        environment.close()
