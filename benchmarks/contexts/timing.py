"""Seconds of a step under both contexts, with episodes that all last a given number of turns.

The episodes are walks in household (``wander.py``), told under both contexts, and the model is a random one of the
quickstart's shape. It answers each turn's prompts, which are those of the walk whatever it says, and is then trained
on the walks. A repetition takes both contexts, in an order that alternates, and gives one ratio. The HF engine keeps
nothing between turns: under full context every turn reads the conversation anew, which vLLM's prefix cache avoids.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from make_trainer import make_trainer, random_base, train
from spread import quartiles, ratios
from transformers.utils.logging import disable_progress_bar

from contexts.tokens import CONTEXTS
from contexts.wander import tell, wander
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.training.trainer import SDARTrainer
from sdar_cli.workshop import Workshop

PHASES = ("generation", "training", "step")


def measure(lengths: Sequence[int], tasks: int, group: int, repeats: int, scratch: Path) -> list[dict]:
    """A row for each number of turns: medians of seconds under each context, and of full over window."""
    disable_progress_bar()
    shared = ["method=sdar", "train.steps=1000", "environment.options.things=24"]
    shared += [f"rollout.tasks={tasks}", f"rollout.group={group}", "rollout.max_prompt_tokens=8000"]
    recipes = {kind: load_recipe("quickstart", [], [*shared, f"rollout.context={kind}"]).recipe for kind in CONTEXTS}
    rows = []
    with Workshop.open(recipes["window"]) as workshop:
        base = random_base(workshop, scratch)
        trainers = {
            kind: make_trainer(recipe, base, scratch, workshop=workshop, max_model_tokens=8192)
            for kind, recipe in recipes.items()
        }
        chosen = list(workshop.environment.tasks("train"))[:tasks]
        walks = wander(workshop, [task for task in chosen for _ in range(group)], max(lengths), seed=0)
        for turns in lengths:
            told = {
                kind: tell(workshop, trainer.processing_class, walks, kind=kind, turns=turns, group=group)
                for kind, trainer in trainers.items()
            }
            seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
            for repeat in range(repeats + 1):
                for kind in CONTEXTS if repeat % 2 else CONTEXTS[::-1]:
                    for phase, value in zip(PHASES, step(trainers[kind], told[kind]), strict=True):
                        seconds[kind, phase] += [value] if repeat else []
            rows.append(
                {"turns": turns, "episodes": len(told["window"])}
                | {kind: {phase: quartiles(seconds[kind, phase]) for phase in PHASES} for kind in CONTEXTS}
                | {"ratios": {phase: ratios(seconds["full", phase], seconds["window", phase]) for phase in PHASES}}
            )
    return rows


def step(trainer: SDARTrainer, episodes: Sequence[Episode]) -> tuple[float, float, float]:
    """CPU seconds of answering every turn's prompts, of scoring and training, and of both."""
    begin = time.process_time()
    for index in range(len(episodes[0].turns)):
        trainer.generate([episode.turns[index].prompt_ids for episode in episodes])
    answered = time.process_time()
    train(trainer, episodes)
    end = time.process_time()
    return answered - begin, end - answered, end - begin
