"""Warm-up: supervised learning of expert demonstrations with skills in the prompt (TRL's SFTTrainer).

Every turn of a demonstration is one example: the prompt that a rollout would show at that turn, and the
expert's response; the loss is on the response alone. Where the environment has rulebooks, each
demonstration is played under one of its own, never under the run's, so that what is learnt is to read the
skills, not the rules.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RecipeError, RunFailed
from sdar_cli.training.demonstrations import Demonstration, demonstrate, demonstrate_all

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.skills.skill import Skill
    from sdar_envs.base import Environment

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (updates done, updates in all, metrics of the last few)."""

IGNORED = -100
"""Label of a token without loss."""

BETAS = (0.9, 0.98)
RAMP = 0.05
"""Share of the updates in which the learning rate rises; it then falls to 0 as a cosine."""
LOG_EVERY = 10
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


@dataclass(frozen=True, slots=True)
class WarmupReport:
    folder: Path
    """Hugging Face folder with the trained model and its tokenizer."""
    demonstrations: int
    skipped: int
    """Demonstrations that the expert did not win; nothing was learnt from them."""
    examples: int
    updates: int
    seconds: float
    prompt_tokens_with_skills: float
    """Mean over examples; 0 where there are none."""
    prompt_tokens_without_skills: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the last updates: ``loss`` in nats a token, ``token_accuracy``."""
    log: tuple[Mapping[str, float], ...] = ()
    """Every ``LOG_EVERY`` updates: step, loss, token_accuracy, learning_rate."""


def run_warmup(
    recipe: Recipe, environment: Environment, model_folder: Path, out_folder: Path, progress: Progress | None = None
) -> WarmupReport:
    """Train the model of ``model_folder`` as ``recipe.warmup`` says and write it to ``out_folder``.

    Deterministic in the recipe's seeds; the global random states are left as they were. A LoRA recipe
    trains an adapter and merges it. Raises RecipeError without a warm-up section or an expert, RunFailed
    when the expert wins nothing.
    """
    from sdar_cli.determinism import seeded
    from sdar_cli.models.load import add_lora, load_model, load_tokenizer

    section, seed = _section(recipe), warmup_seed(recipe)
    started = time.monotonic()
    trust = recipe.model.trust_remote_code
    tokenizer = load_tokenizer(str(model_folder), trust_remote_code=trust)
    shown, plain, played = make_examples(recipe, environment, tokenizer)
    model = load_model(str(model_folder), trust_remote_code=trust)
    if recipe.model.lora is not None:
        model = add_lora(model, recipe.model.lora, seed)
    with seeded(seed):
        log, updates = _train(recipe, model, tokenizer, [*shown, *plain], progress)
    if recipe.model.lora is not None:
        model = model.merge_and_unload()
    _check_finite(model)
    model.save_pretrained(out_folder)
    tokenizer.save_pretrained(out_folder)
    return WarmupReport(
        folder=Path(out_folder),
        demonstrations=played,
        skipped=section.demonstrations - played,
        examples=len(shown) + len(plain),
        updates=updates,
        seconds=time.monotonic() - started,
        prompt_tokens_with_skills=_mean_prompt(shown),
        prompt_tokens_without_skills=_mean_prompt(plain),
        metrics={key: log[-1][key] for key in ("loss", "token_accuracy")} if log else {},
        log=tuple(log),
    )


def make_examples(
    recipe: Recipe, environment: Environment, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Example], list[Example], int]:
    """Examples with skills, examples without, and the number of demonstrations that they come from."""
    from sdar_cli.rollout.context import Context

    section = _section(recipe)
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
            f"the expert of {environment.name!r} won none of {section.demonstrations} demonstrations: check its options"
        )
    return examples[True], examples[False], played


def demonstrations(recipe: Recipe, environment: Environment) -> Iterator[tuple[Demonstration, str]]:
    """Each won demonstration with the skills block that a teacher would see, ``warmup.demonstrations`` tries.

    Train tasks in a shuffled order, again and again as needed. With rulebooks: one drawn anew for every
    demonstration, with its own skills. Without: every task is played once, however often it is shown.
    """
    from sdar_cli.skills import bank_for, make_retriever, render_block

    section, seed = _section(recipe), warmup_seed(recipe)
    rng = random.Random(f"warm-up tasks {seed}")
    tasks = list(environment.tasks("train"))
    rng.shuffle(tasks)
    wanted = [tasks[index % len(tasks)] for index in range(section.demonstrations)]
    if section.shuffle_rulebooks and hasattr(environment, "with_rulebook"):
        for task, rulebook_seed in zip(wanted, rulebook_seeds(environment, section.demonstrations, seed), strict=True):
            world = environment.with_rulebook(rulebook_seed)
            played = demonstrate(world, task)
            if played is not None:
                yield played, _block(recipe, world, played, seed)
        return
    retriever = make_retriever(bank_for(recipe.skills, environment), recipe.skills, seed)
    once = {
        played.task.id: (played, render_block(_retrieve(retriever, environment, played)))
        for played in demonstrate_all(
            environment,
            wanted[: len(tasks)],
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
    section = _section(recipe)
    return recipe.seed if section.seed is None else section.seed


def _section(recipe: Recipe) -> Any:
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
    return render_block(_retrieve(make_retriever(bank, recipe.skills, seed), world, played))


@lru_cache(maxsize=4096)
def _skill(text: str, name: str) -> Skill:
    """A parsed skill; few differ between rulebooks, and reading YAML is slow."""
    from sdar_cli.skills.skill import parse_skill

    return parse_skill(text, where=f"skill '{name}'", stem=name)


def _retrieve(retriever: Any, environment: Environment, played: Demonstration) -> Any:
    task = played.task
    return retriever.retrieve(
        task_type=task.task_type, text=environment.goal(task, played.first), key=task.id
    )


def _train(
    recipe: Recipe, model: Any, tokenizer: PreTrainedTokenizerBase, examples: list[Example], progress: Progress | None
) -> tuple[list[dict[str, float]], int]:
    """Fit ``model`` in place; the log's rows and the number of updates."""
    import tempfile

    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    section, seed = _section(recipe), warmup_seed(recipe)
    shown = [examples[index] for index in reading_order(examples, section.epochs, section.batch, seed)]
    rows = Dataset.from_dict(
        {
            "input_ids": [e.prompt_ids + e.response_ids for e in shown],
            "labels": [[IGNORED] * len(e.prompt_ids) + e.response_ids for e in shown],
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        config = SFTConfig(
            output_dir=scratch,
            per_device_train_batch_size=section.batch,
            num_train_epochs=1,
            learning_rate=section.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=RAMP,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            max_length=None,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            gradient_checkpointing=recipe.model.gradient_checkpointing,
            bf16=recipe.model.dtype == "bfloat16",
            seed=seed,
            data_seed=seed,
            logging_steps=LOG_EVERY,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=rows,
            processing_class=tokenizer,
            callbacks=[_listener(progress)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return [_log_row(row) for row in trainer.state.log_history if "loss" in row], trainer.state.global_step


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


def _listener(progress: Progress | None) -> Any:
    from transformers import TrainerCallback

    class Listener(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if progress is not None and logs and "loss" in logs:
                progress(state.global_step, state.max_steps, _log_row(logs))

    return Listener()


def _log_row(row: Mapping[str, float]) -> dict[str, float]:
    return {
        "step": float(row.get("step", 0)),
        "loss": float(row["loss"]),
        "token_accuracy": float(row.get("mean_token_accuracy", 0.0)),
        "learning_rate": float(row.get("learning_rate", 0.0)),
    }


def _check_finite(model: Any) -> None:
    import torch

    if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
        raise RunFailed("the warm-up diverged to weights that are not finite: lower warmup.learning_rate")


def _mean_prompt(examples: list[Example]) -> float:
    return sum(len(e.prompt_ids) for e in examples) / len(examples) if examples else 0.0
