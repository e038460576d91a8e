"""Tokens of real episodes under both contexts, as they grow with turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from contexts.closed import Cost
from contexts.prefix import found
from contexts.wander import tell, wander
from sdar_cli.models.tiny import environment_texts, skill_texts
from sdar_cli.models.word_tokenizer import build_tokenizer
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.training.rows import make_rows
from sdar_cli.workshop import Workshop

CONTEXTS = ("window", "full")


@dataclass(frozen=True, slots=True)
class World:
    recipe: str
    overrides: tuple[str, ...]
    thought: int
    """Words of thought in a response."""


WORLDS: Mapping[str, World] = {
    "household": World("quickstart", ("environment.options.things=24",), 0),
    "ALFWorld": World(
        "alfworld-tiny",
        (
            "environment.options.brief=false",
            "environment.options.train=6",
            "environment.options.test=6",
            "environment.options.receptacles=12",
            "environment.options.things=12",
            "rollout.history=2",
        ),
        60,
    ),
}
"""household's prompts are short and without lists of commands; ALFWorld's are worded and listed as for a real model."""


def measure(world: World, lengths: Sequence[int], tasks: int, group: int) -> list[dict]:
    """A row for each number of turns: ``turns``, ``episodes``, and under each context the cost as plain data."""
    recipe = load_recipe(world.recipe, [], [*world.overrides, "method=sdar"]).recipe
    with Workshop.open(recipe) as workshop:
        texts = environment_texts(recipe, workshop.environment)
        tokenizer = build_tokenizer([*texts, *skill_texts(workshop.bank)])
        chosen = list(workshop.environment.tasks("train"))[:tasks]
        walks = wander(workshop, [task for task in chosen for _ in range(group)], max(lengths), seed=0)
        rows = []
        for turns in lengths:
            told = {
                kind: tell(workshop, tokenizer, walks, kind=kind, turns=turns, group=group, thought=world.thought)
                for kind in CONTEXTS
            }
            costs = {kind: asdict(count(episodes, kind)) for kind, episodes in told.items()}
            rows.append({"turns": turns, "episodes": len(told["window"])} | costs)
    return rows


def count(episodes: Sequence[Episode], context: str) -> Cost:
    """The mean episode's cost."""
    number = len(episodes)
    rows = make_rows(episodes, context)
    turns = max(len(episode.turns) for episode in episodes)
    together = [
        [(e.turns[k].prompt_ids, e.turns[k].response_ids) for e in episodes if k < len(e.turns)] for k in range(turns)
    ]
    return Cost(
        read=sum(episode.prompt_tokens for episode in episodes) / number,
        cached=found(together) / number,
        generated=sum(episode.response_tokens for episode in episodes) / number,
        trained=sum(len(row.prompt_ids) + len(row.completion_ids) for row in rows) / number,
        teacher=sum(len(row.teacher_prompt_ids or ()) + len(row.completion_ids) for row in rows) / number,
        longest=max(row.tokens for row in rows),
    )
