"""What the benchmarks of training share: a base with random weights, a recipe's trainer on a base, its steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel

from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.models.tiny import create
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import RolloutLoop
from sdar_cli.training.build import frozen_copy
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.trainer import SDARTrainer
from sdar_cli.workshop import Workshop
from sdar_envs.base import Task


def random_base(workshop: Workshop, scratch: Path) -> str:
    """Folder of the recipe's tiny model before any warm-up."""
    return str(create(workshop.recipe, workshop.environment, workshop.bank, scratch / "base").folder)


def make_trainer(
    recipe: Recipe,
    base: str,
    output: Path,
    *,
    workshop: Workshop | None = None,
    model: PreTrainedModel | None = None,
    max_model_tokens: int = 4096,
    by_hand: bool = True,
) -> SDARTrainer:
    """The recipe's trainer on the weights in ``base``.

    Args:
        workshop: where it plays, as the recipe's method does (the workshop may be of another method); None: its tasks
            are made up, and episodes are handed to it.
        model: instead of the weights in ``base``.
        by_hand: its steps are taken with ``train``; else it awaits its own ``train()``.
    """
    tokenizer = load_tokenizer(base)

    def loop(made: SDARTrainer) -> RolloutLoop | None:
        if workshop is None:
            return None
        context = workshop.context(tokenizer)
        if not recipe.needs_teacher:
            context = context.seen_by(skills=OBJECTIVES[recipe.method].skills_in_prompt)
        return workshop.loop(made, tokenizer, set(made.eos_token_ids), context)

    count = recipe.rollout.tasks
    tasks = [Task(f"t{n}", "type") for n in range(count)] if workshop is None else workshop.environment.tasks("train")
    trainer = SDARTrainer(
        recipe=recipe,
        model=load_model(base) if model is None else model,
        tokenizer=tokenizer,
        make_loop=loop,
        schedule=TaskSchedule(tasks, count, recipe.seed),
        output=output,
        max_model_tokens=max_model_tokens,
        frozen=frozen_copy(recipe, base),
    )
    if by_hand:
        trainer.create_optimizer_and_scheduler(1)
        trainer.current_gradient_accumulation_steps = 1
    return trainer


def train(trainer: SDARTrainer, episodes: Sequence[Episode]) -> None:
    """A step on these episodes: scoring, losses, update."""
    trainer.train_on(trainer.model, episodes)
    trainer.update.step(trainer.model)
