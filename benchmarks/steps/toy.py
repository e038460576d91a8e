"""The toy shape: whole steps of SDAR, of our GRPO and of TRL's own ``GRPOTrainer`` on one task of a single turn.

A Qwen3 of 0.35 M random parameters answers the first turn of 16 household tasks eight times each with 16 tokens, all
weights are trained, Hugging Face's ``generate`` samples. TRL's side is what its user writes: a data set of the same
chat prompts, a reward function that plays the answer in the same environments, its own loop, generation and loss.
Learning rate, KL, clipping, batch and the number of updates are the same. Counted is the time, of
CPU where no GPU works, from the end of a step
to the end of the next one, so that loading data and logging are in it.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from make_trainer import make_trainer, random_base

from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Recipe
from sdar_cli.workshop import Workshop
from steps.clock import now

SHAPE = [
    "model.tiny={layers: 3, width: 96, heads: 4, mlp: 256}",
    "rollout.tasks=16",
    "rollout.group=8",
    "rollout.max_turns=1",
    "rollout.max_response_tokens=16",
    "optimiser.learning_rate=1e-6",
    "optimiser.rows_per_update=null",
    "teacher.kind=live",
]
STEPS = 7
"""Of every training; the first is left out."""


def toy_recipe(method: str, kl: float, *more: str) -> Recipe:
    changes = [*SHAPE, f"method={method}", f"policy.kl_coef={kl}", f"train.steps={STEPS}", *more]
    if method != "sdar":
        changes.remove("teacher.kind=live")
    return load_recipe("quickstart", [], changes).recipe


def measure(repeats: int, scratch: Path) -> dict[str, list[float]]:
    """Median seconds of a step in each repetition, by side and KL coefficient; the first repetition is left out."""
    recipe = toy_recipe("sdar", 0.0)
    with Workshop.open(recipe) as workshop:
        base = random_base(workshop, scratch)
        sides: dict[str, Any] = {}
        for kl in (0.0, 0.01):
            for method in ("sdar", "grpo"):
                sides[f"{method}, KL {kl:g}"] = make_trainer(
                    toy_recipe(method, kl), base, scratch / "ours", workshop=workshop, by_hand=False
                )
            sides[f"trl, KL {kl:g}"] = make_trl(toy_recipe("grpo", kl), workshop, base, scratch)
        return timed(sides, repeats)


def timed(sides: dict[str, Any], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    names = list(sides)
    for repeat in range(repeats + 1):
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            ends = ends_of_steps(sides[name])
            if repeat:
                times[name].append(statistics.median([b - a for a, b in pairwise(ends)]))
    return times


def ends_of_steps(trainer) -> list[float]:
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            ends.append(now())

    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    trainer.remove_callback(clock)
    return ends


def make_trl(recipe: Recipe, workshop: Workshop, base: str, scratch: Path):
    from transformers import PrinterCallback
    from trl import GRPOTrainer

    from steps.trl_script import arguments, prompts, rewards

    trainer = GRPOTrainer(
        model=load_model(base),
        reward_funcs=rewards(recipe, workshop.environment, workshop.pool),
        args=arguments(recipe, scratch / "trl"),
        train_dataset=prompts(recipe, workshop.environment),
        processing_class=load_tokenizer(base),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def pairs() -> dict[str, tuple[str, str]]:
    out = {}
    for kl in ("KL 0", "KL 0.01"):
        out[f"toy step: sdar / TRL's GRPO, {kl}"] = (f"sdar, {kl}", f"trl, {kl}")
        out[f"toy step: grpo / TRL's GRPO, {kl}"] = (f"grpo, {kl}", f"trl, {kl}")
        out[f"toy step: sdar / grpo, {kl}"] = (f"sdar, {kl}", f"grpo, {kl}")
    return out
