"""What the warm-up learns from: expert turns as prompt and response tokens, and their order."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RecipeError, RunFailed
from sdar_cli.training.demonstrations import Demonstration, demonstrate, demonstrate_all

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sdar_cli.recipe.schema import Recipe, Warmup
    from sdar_cli.skills.skill import Skill
    from sdar_envs.base import Environment

STRETCH = 50
"""Batches among which examples are sorted by length, so that little is padded."""


@dataclass(frozen=True, slots=True)
class Example:
    """One turn: prompt and response tokens; the response ends with the end-of-turn token."""

    prompt_ids: list[int]
    response_ids: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.response_ids)


def make_examples(
    recipe: Recipe, environment: Environment, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Example], list[Example], int]:
    """Examples with skills, examples without, and the number of demonstrations that they come from."""
    from sdar_cli.rollout.context import Context

    section = warmup_section(recipe)
    chooser = random.Random(f"warm-up skills {warmup_seed(recipe)}")
    base = Context(
        environment=environment,
        tokenizer=tokenizer,
        kind=recipe.rollout.context,
        window=recipe.rollout.history,
        max_prompt_tokens=recipe.rollout.max_prompt_tokens,
        placement=recipe.skills.placement,
        template_kwargs=recipe.model.template_kwargs,
        policy_sees_skills=False,
        teacher=False,
    )
    contexts = {with_skills: base.seen_by(skills=with_skills) for with_skills in (True, False)}
    responses: dict[str, list[int]] = {}
    examples: dict[bool, list[Example]] = {True: [], False: []}
    played = 0
    for demonstration, block in demonstrations(recipe, environment):
        played += 1
        with_skills = chooser.random() < section.skills_share
        context = contexts[with_skills]
        dialogue = context.open(demonstration.task, demonstration.first, block if with_skills else "")
        followers = [*(past.observation for past in demonstration.exchanges[1:]), demonstration.last]
        for exchange, after in zip(demonstration.exchanges, followers, strict=True):
            prompt = context.prompt(dialogue)
            if prompt is None:
                raise RecipeError(
                    f"the expert's prompts of task {demonstration.task.id} exceed rollout.max_prompt_tokens="
                    f"{recipe.rollout.max_prompt_tokens}: raise it"
                )
            action = exchange.action
            if action not in responses:
                text = environment.format_response(action)
                responses[action] = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
            examples[with_skills].append(Example(prompt.ids, responses[action]))
            context.advance(dialogue, prompt, responses[action], action, after)
    if not played:
        raise RunFailed(
            f"the expert of {environment.name!r} won none of {section.demonstrations} demonstrations: "
            "check environment.options"
        )
    return examples[True], examples[False], played


def demonstrations(recipe: Recipe, environment: Environment) -> Iterator[tuple[Demonstration, str]]:
    """Each won demonstration with the skills block that a teacher would see, ``warmup.demonstrations`` tries.

    Train tasks in a shuffled order, again and again as needed. With rulebooks: one drawn anew for every
    demonstration, with its own skills. Without: every task is played once, however often it is shown.
    """
    from sdar_cli.skills import bank_for, make_retriever, render_block

    section, seed = warmup_section(recipe), warmup_seed(recipe)
    rng = random.Random(f"warm-up tasks {seed}")
    tasks = environment.tasks("train")
    order = array("Q", range(len(tasks)))
    rng.shuffle(order)
    drawn = [tasks[index] for index in order[: section.demonstrations]]
    wanted = [drawn[index % len(drawn)] for index in range(section.demonstrations)]
    if section.shuffle_rulebooks and hasattr(environment, "with_rulebook"):
        for task, rulebook_seed in zip(wanted, rulebook_seeds(environment, section.demonstrations, seed), strict=True):
            world = environment.with_rulebook(rulebook_seed)
            played = demonstrate(world, task)
            if played is not None:
                yield played, _block(recipe, world, played, seed)
        return
    retriever = make_retriever(bank_for(recipe.skills, environment), recipe.skills, seed).clean()
    once = {
        played.task.id: (played, render_block(_retrieve(retriever, environment, played)))
        for played in demonstrate_all(
            environment,
            drawn,
            workers=recipe.environment.workers,
            timeout=recipe.environment.timeout,
        )
    }
    yield from (once[task.id] for task in wanted if task.id in once)


def rulebook_seeds(environment: Any, count: int, seed: int) -> list[int]:
    """Seeds of ``count`` rulebooks, none of which states the run's rules."""
    rng = random.Random(f"warm-up rulebooks {seed}")
    own = environment.rulebook
    seeds: list[int] = []
    while len(seeds) < count:
        drawn = rng.randrange(2**31)
        if drawn != environment.options.rulebook and type(own).draw(drawn) != own:
            seeds.append(drawn)
    return seeds


def warmup_seed(recipe: Recipe) -> int:
    """The warm-up's own seed, or the recipe's."""
    section = warmup_section(recipe)
    return recipe.seed if section.seed is None else section.seed


def warmup_section(recipe: Recipe) -> Warmup:
    """The warm-up section; RecipeError where the recipe has none."""
    if recipe.warmup is None:
        raise RecipeError("the recipe has no warm-up: add a warmup section, or give init_from")
    return recipe.warmup


def _block(recipe: Recipe, world: Environment, played: Demonstration, seed: int) -> str:
    from sdar_cli.skills import SkillBank, bank_for, make_retriever, render_block

    texts = None if recipe.skills.bank else world.describe_skills()
    if texts is None:
        bank = bank_for(recipe.skills, world)
    else:
        bank = SkillBank(world.name, tuple(_skill(text, name) for name, text in sorted(texts.items())), "")
    return render_block(_retrieve(make_retriever(bank, recipe.skills, seed).clean(), world, played))


@lru_cache(maxsize=4096)
def _skill(text: str, name: str) -> Skill:
    """A parsed skill; few differ between rulebooks, and reading YAML is slow."""
    from sdar_cli.skills.skill import parse_skill

    return parse_skill(text, where=f"skill '{name}'", stem=name)


def _retrieve(retriever: Any, environment: Environment, played: Demonstration) -> Any:
    task = played.task
    return retriever.retrieve(task_type=task.task_type, text=environment.goal(task, played.first), key=task.id)


def reading_order(examples: Sequence[Example], epochs: float, batch: int, seed: int) -> list[int]:
    """Indices of the examples as they are read: batches of like length, in random order.

    Every epoch is shuffled anew, cut into stretches of ``STRETCH`` batches, sorted by length within a
    stretch, and its batches are shuffled; ``epochs`` may end within an epoch.
    """
    rng = random.Random(f"warm-up order {seed}")
    wanted = max(1, round(epochs * len(examples)))
    order: list[int] = []
    while len(order) < wanted:
        epoch = list(range(len(examples)))
        rng.shuffle(epoch)
        batches = []
        for start in range(0, len(epoch), STRETCH * batch):
            stretch = sorted(epoch[start : start + STRETCH * batch], key=lambda index: examples[index].length)
            batches += [stretch[first : first + batch] for first in range(0, len(stretch), batch)]
        last = [batches.pop()] if len(batches[-1]) < batch else []
        rng.shuffle(batches)
        order += [index for group in batches + last for index in group]
    return order[:wanted]
