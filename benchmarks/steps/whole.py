"""Whole steps of every method on a recipe's task, in one process, on the same episodes.

Every repetition plays one rollout as GRPO does and the same one as SDAR does, with the teacher's prompts beside: both
from one random seed and the same weights, so that they are the same episodes. Then each method trains on them, in an
order that rotates. A random model solves next to nothing, so every second episode is given the reward. ``skill_grpo``
plays a rollout of its own, since its prompts hold the skills. The learning rate is so low that the weights, and with
them the episodes, stay what they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from make_trainer import make_trainer, random_base, train
from spread import ratios

from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import RolloutLoop, Start
from sdar_cli.training.batch import collate
from sdar_cli.training.credit import assign_advantages
from sdar_cli.training.rows import Row, make_rows, split_microbatches
from sdar_cli.training.trainer import SDARTrainer
from sdar_cli.training.trl_seam import grpo_config
from sdar_cli.workshop import Workshop
from steps.clock import now
from steps.floor import bare_forward, floor

METHODS: dict[str, list[str]] = {
    "grpo": ["method=grpo"],
    "sdar": ["method=sdar"],
    "sdar, frozen": ["method=sdar", "teacher.kind=frozen"],
    "sdar, ema": ["method=sdar", "teacher.kind=ema"],
    "sdar, reverse KL": ["method=sdar", "distill.divergence=reverse"],
    "sdar, z-score": ["method=sdar", "gate.normalise=zscore"],
    "opsd": ["method=opsd"],
    "grpo_opsd": ["method=grpo_opsd"],
    "skill_grpo": ["method=skill_grpo"],
    "rlsd": ["method=rlsd"],
    "skill_sd": ["method=skill_sd"],
    "agent_opsd": ["method=agent_opsd"],
    "rloo": ["method=rloo"],
    "reinforce": ["method=reinforce"],
    "ppo_kl": ["method=ppo_kl"],
}
"""Label → overrides. The teacher is live where nothing else is said."""
SHARED = ["optimiser.rows_per_update=null", "optimiser.learning_rate=1e-6", "train.steps=1000"]


def measure(name: str, methods: Sequence[str], base: Path | None, repeats: int, scratch: Path) -> dict:
    """Seconds of each part in each repetition; the first repetition is warm-up and left out."""
    recipes = {
        label: load_recipe(name, [], [*SHARED, *_teacher(METHODS[label]), *METHODS[label]]).recipe for label in methods
    }
    with Workshop.open(recipes["sdar"]) as workshop:
        path = str(base or random_base(workshop, scratch))
        trainers = {key: make_trainer(recipe, path, scratch, workshop=workshop) for key, recipe in recipes.items()}
        plain = make_trl(recipes["grpo"], path, scratch)
        bare = without_teacher(trainers["sdar"], workshop, path)
        times: dict[str, list[float]] = defaultdict(list)
        for repeat in range(repeats + 1):
            one = repetition(repeat, trainers, plain, bare)
            if repeat:
                for key, seconds in one.items():
                    times[key].append(seconds)
    return times


def _teacher(changes: list[str]) -> list[str]:
    """A live teacher, where there is one and no other was chosen (the quickstart's own is frozen)."""
    method = changes[0].removeprefix("method=")
    chosen = any(change.startswith("teacher.") for change in changes)
    return ["teacher.kind=live"] if "teacher" in OBJECTIVES[method].settings and not chosen else []


def repetition(repeat: int, trainers: dict[str, SDARTrainer], plain, bare: RolloutLoop) -> dict[str, float]:
    sdar, grpo = trainers["sdar"], trainers["grpo"]
    loops = {"rollout": bare, "rollout, sdar": sdar.loop}
    if "skill_grpo" in trainers:
        loops["rollout, skill_grpo"] = trainers["skill_grpo"].loop
    out, played = {}, {}
    for key in rotated(list(loops), repeat):
        played[key], out[key] = play(sdar, loops[key], repeat)
    episodes = played["rollout, sdar"]
    assert [e.turns[-1].response for e in episodes] == [e.turns[-1].response for e in played["rollout"]]
    rows = make_rows(episodes, sdar.recipe.rollout.context)
    assign_advantages(rows, episodes, grpo.objective, grpo.settings, penalty=0.1, scores={})
    parts: dict[str, Callable] = {
        label: (
            lambda made=made, label=label: train(
                made, played["rollout, skill_grpo"] if label == "skill_grpo" else episodes
            )
        )
        for label, made in trainers.items()
    }
    parts["trl"] = lambda: train_trl(plain, rows, sdar.recipe.optimiser.tokens_per_microbatch)
    parts["teacher pass"] = lambda: sdar.scorer.teacher_log_probs(rows)
    parts["floor"] = lambda: floor(sdar, rows)
    parts["bare teacher forward"] = lambda: bare_forward(sdar, rows, teacher=True)
    parts["student"] = lambda: bare_forward(sdar, rows, teacher=False)
    for key in rotated(list(parts), repeat):
        start = now()
        parts[key]()
        out[key] = now() - start
    return out


def rotated(names: list[str], repeat: int) -> list[str]:
    turn = repeat % len(names)
    return names[turn:] + names[:turn]


def play(trainer: SDARTrainer, loop: RolloutLoop, repeat: int) -> tuple[list[Episode], float]:
    """A rollout whose every second episode is given the reward, and its seconds."""
    starts = [Start(t, g, s) for g, t in enumerate(trainer.schedule.at(repeat)) for s in range(8)]
    torch.manual_seed(repeat)
    clock = now()
    episodes = loop.play(starts)
    seconds = now() - clock
    for index, episode in enumerate(episodes):
        episode.won = bool(index % 2)
        episode.reward = 10.0 * episode.won
    return episodes, seconds


def without_teacher(trainer: SDARTrainer, workshop: Workshop, base: str) -> RolloutLoop:
    """The same policy's rollouts, as a method without a teacher plays them."""
    tokenizer = load_tokenizer(base)
    context = workshop.context(tokenizer).seen_by(skills=False)
    return workshop.loop(trainer, tokenizer, set(trainer.eos_token_ids), context)


def make_trl(recipe, base: str, scratch: Path):
    """TRL's GRPOTrainer as it comes; ``train_trl`` hands it the rows where its own rollout would be."""
    from datasets import Dataset
    from trl import GRPOTrainer

    trainer = GRPOTrainer(
        model=load_model(base),
        reward_funcs=lambda **_: [],
        args=grpo_config(recipe, scratch, 1, 4096),
        train_dataset=Dataset.from_dict({"prompt": ["word"] * 64}),
        processing_class=load_tokenizer(base),
    )
    trainer.create_optimizer_and_scheduler(1)
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def train_trl(trainer, rows: list[Row], budget: int) -> None:
    """TRL's loss on the same rows in the same micro-batches, with its reference pass and optimiser step."""
    from steps.floor import logps

    device, pad = trainer.accelerator.device, trainer._tokenizer.pad_token_id
    tokens = torch.tensor(float(sum(row.response_tokens for row in rows)))
    trainer.model.train()
    for indices in split_microbatches(rows, range(len(rows)), budget):
        batch = collate([rows[i] for i in indices], pad, device)
        if trainer.ref_model is not None:
            with torch.no_grad():
                batch["ref_per_token_logps"] = logps(trainer, trainer.ref_model, batch)
        batch["num_items_in_batch"] = tokens
        trainer.accelerator.backward(trainer.compute_loss(trainer.model, batch))
    trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
    trainer.optimizer.step()
    trainer.model.zero_grad()


def ratios_of(times: dict[str, list[float]]) -> dict:
    def whole(label: str) -> list[float]:
        rollout = {"grpo": "rollout", "trl": "rollout", "skill_grpo": "rollout, skill_grpo"}
        taught = (
            "teacher" in OBJECTIVES[METHODS[label][0].removeprefix("method=")].settings if label in METHODS else False
        )
        key = rollout.get(label, "rollout, sdar" if taught else "rollout")
        return [a + b for a, b in zip(times[key], times[label], strict=True)]

    added = [a - b for a, b in zip(times["sdar"], times["grpo"], strict=True)]
    out = {
        f"step: {label} / grpo": ratios(whole(label), whole("grpo"))
        for label in METHODS
        if label != "grpo" and label in times
    }
    return out | {
        "step: sdar / TRL's GRPO": ratios(whole("sdar"), whole("trl")),
        "training only: sdar / grpo": ratios(times["sdar"], times["grpo"]),
        "training only: sdar / TRL's GRPO": ratios(times["sdar"], times["trl"]),
        "rollout: sdar / grpo": ratios(times["rollout, sdar"], times["rollout"]),
        "added by sdar / bare teacher forward": ratios(added, times["bare teacher forward"]),
        "teacher pass / bare teacher forward": ratios(times["teacher pass"], times["bare teacher forward"]),
        "teacher pass / its floor": ratios(times["teacher pass"], times["floor"]),
    }
