"""Seconds of a step under both contexts, with episodes that all last a given number of turns.

A random model of the recipe's shape writes nothing that the environment understands, so that every episode lasts to
the turn limit. Both contexts are played and trained in each repetition, one after the other, in an order that
alternates; a repetition gives one ratio. The HF engine keeps nothing between turns: under full context every turn reads
the conversation anew, which vLLM's prefix cache avoids.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from spread import quartiles, ratios
from transformers.utils.logging import disable_progress_bar

from contexts.tokens import CONTEXTS
from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.models.tiny import create
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.loop import Start
from sdar_cli.training.build import frozen_copy
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.trainer import SDARTrainer
from sdar_cli.workshop import Workshop

PHASES = ("rollout", "training", "step")


def measure(lengths: Sequence[int], tasks: int, group: int, repeats: int, scratch: Path) -> list[dict]:
    """A row for each number of turns: medians of seconds under each context, and of full over window."""
    disable_progress_bar()
    rows = []
    for turns in lengths:
        seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        settings = [f"rollout.max_turns={turns}", f"rollout.tasks={tasks}", f"rollout.group={group}"]
        settings += ["method=sdar", "rollout.max_prompt_tokens=8000", "train.steps=1000"]
        recipes = {
            kind: load_recipe("quickstart", [], [*settings, f"rollout.context={kind}"]).recipe for kind in CONTEXTS
        }
        with Workshop.open(recipes["window"]) as first, Workshop.open(recipes["full"]) as second:
            workshops = dict(zip(CONTEXTS, (first, second), strict=True))
            folder = scratch / f"base-{turns}"
            base = str(create(recipes["window"], first.environment, first.bank, folder).folder)
            trainers = {kind: make_trainer(workshops[kind], base, scratch) for kind in CONTEXTS}
            for repeat in range(repeats + 1):
                for kind in CONTEXTS if repeat % 2 else CONTEXTS[::-1]:
                    one = step(trainers[kind], repeat, group)
                    for phase, value in zip(PHASES, one, strict=True):
                        seconds[kind, phase] += [value] if repeat else []
        rows.append(
            {"turns": turns}
            | {kind: {phase: quartiles(seconds[kind, phase]) for phase in PHASES} for kind in CONTEXTS}
            | {"ratios": {phase: ratios(seconds["full", phase], seconds["window", phase]) for phase in PHASES}}
        )
    return rows


def step(trainer: SDARTrainer, number: int, group: int) -> tuple[float, float, float]:
    """CPU seconds of the rollout, of all else, and of both. Every second episode is given the reward."""
    starts = [Start(task, g, s) for g, task in enumerate(trainer.schedule.at(number)) for s in range(group)]
    begin = time.process_time()
    episodes = trainer.loop.play(starts)
    played = time.process_time()
    for index, episode in enumerate(episodes):
        episode.won = bool(index % 2)
        episode.reward = 10.0 * episode.won
    trainer.train_on(trainer.model, episodes)
    trainer.update.step(trainer.model)
    end = time.process_time()
    return played - begin, end - played, end - begin


def make_trainer(workshop: Workshop, base: str, scratch: Path) -> SDARTrainer:
    recipe, tokenizer = workshop.recipe, load_tokenizer(base)
    trainer = SDARTrainer(
        recipe=recipe,
        model=load_model(base),
        tokenizer=tokenizer,
        make_loop=lambda made: workshop.loop(made, tokenizer, set(made.eos_token_ids), workshop.context(tokenizer)),
        schedule=TaskSchedule(workshop.environment.tasks("train"), recipe.rollout.tasks, recipe.seed),
        output=scratch,
        max_model_tokens=8192,
        frozen=frozen_copy(recipe, base),
    )
    trainer.create_optimizer_and_scheduler(1)
    trainer.current_gradient_accumulation_steps = 1
    return trainer
