"""What each method's step costs: over a GRPO step and over TRL's own trainer, on the same episodes.

    python benchmarks/step.py [--repeats 9] [--json FILE]

Every repetition plays one rollout of the quickstart recipe with a random tiny model, then trains on it
with each method in turn, in an order that rotates, in one process. A random model solves next to nothing,
so every second episode is given the reward. ``skill_grpo`` plays a rollout of its own, since its prompts
hold the skills. Printed are medians with quartiles, and medians of the ratios of paired repetitions.
Seconds depend on the machine; ratios much less.

``floor`` is a bare teacher forward over the same rows and micro-batches, nothing else: the least that any
teacher pass can take; ``student`` is the same over the policy's own prompts.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.models.tiny import create
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import Start
from sdar_cli.training.batch import collate
from sdar_cli.training.build import frozen_copy
from sdar_cli.training.credit import assign_advantages
from sdar_cli.training.rows import Row, make_rows, split_microbatches
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.trainer import SDARTrainer
from sdar_cli.training.trl_seam import grpo_config
from sdar_cli.workshop import Workshop

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        times = measure(options.recipe, options.repeats, Path(scratch))
    figures = summarise(times)
    report(figures, options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(name: str, repeats: int, scratch: Path) -> dict[str, list[float]]:
    """Seconds of each part in each repetition; the first repetition is warm-up and left out."""
    shared = ["optimiser.rows_per_update=null", "train.steps=1000"]
    recipes = {
        label: load_recipe(name, [], [*shared, *_teacher(changes), *changes]).recipe
        for label, changes in METHODS.items()
    }
    with Workshop.open(recipes["sdar"]) as workshop:
        base = str(create(recipes["sdar"], workshop.environment, workshop.bank, scratch / "base").folder)
        trainers = {key: make_trainer(recipe, workshop, base, scratch) for key, recipe in recipes.items()}
        plain = make_trl(recipes["grpo"], base, scratch)
        times: dict[str, list[float]] = defaultdict(list)
        for repeat in range(repeats + 1):
            one = repetition(repeat, trainers, plain)
            if repeat:
                for key, seconds in one.items():
                    times[key].append(seconds)
    return times


def _teacher(changes: list[str]) -> list[str]:
    """A live teacher, where there is one and no other was chosen (the quickstart's own is frozen)."""
    method = changes[0].removeprefix("method=")
    chosen = any(change.startswith("teacher.") for change in changes)
    return ["teacher.kind=live"] if "teacher" in OBJECTIVES[method].settings and not chosen else []


def repetition(repeat: int, trainers: dict[str, SDARTrainer], plain) -> dict[str, float]:
    sdar = trainers["sdar"]
    episodes, rollout = play(sdar, repeat)
    own, own_rollout = play(trainers["skill_grpo"], repeat)
    grpo = trainers["grpo"]
    rows = make_rows(episodes, sdar.recipe.rollout.context)
    assign_advantages(rows, episodes, grpo.objective, grpo.settings, penalty=0.1, scores={})
    parts = {
        label: (lambda made=made, label=label: train(made, own if label == "skill_grpo" else episodes))
        for label, made in trainers.items()
    }
    parts["trl"] = lambda: train_trl(plain, rows, sdar.recipe.optimiser.tokens_per_microbatch)
    parts["floor"] = lambda: bare_forward(sdar, rows, teacher=True)
    parts["student"] = lambda: bare_forward(sdar, rows, teacher=False)
    order = list(parts)
    order = order[repeat % len(order) :] + order[: repeat % len(order)]
    out = {"rollout": rollout, "rollout, skill_grpo": own_rollout}
    for key in order:
        start = time.perf_counter()
        parts[key]()
        out[key] = time.perf_counter() - start
    out["teacher pass"] = sdar.scorer.timings()["time/teacher"]
    return out


def play(trainer: SDARTrainer, repeat: int) -> tuple[list[Episode], float]:
    """A rollout whose every second episode is given the reward, and its seconds."""
    starts = [Start(t, g, s) for g, t in enumerate(trainer.schedule.at(repeat)) for s in range(8)]
    clock = time.perf_counter()
    episodes = trainer.loop.play(starts)
    seconds = time.perf_counter() - clock
    for index, episode in enumerate(episodes):
        episode.won = bool(index % 2)
        episode.reward = 10.0 * episode.won
    return episodes, seconds


def make_trainer(recipe, workshop: Workshop, base: str, scratch: Path) -> SDARTrainer:
    tokenizer = load_tokenizer(base)
    skills = recipe.method == "skill_grpo"
    trainer = SDARTrainer(
        recipe=recipe,
        model=load_model(base),
        tokenizer=tokenizer,
        make_loop=lambda made: workshop.loop(
            made,
            tokenizer,
            set(made.eos_token_ids),
            workshop.context(tokenizer).seen_by(skills=True) if skills else workshop.context(tokenizer),
        ),
        schedule=TaskSchedule(workshop.environment.tasks("train"), recipe.rollout.tasks, recipe.seed),
        output=scratch,
        max_model_tokens=4096,
        frozen=frozen_copy(recipe, base),
    )
    trainer.create_optimizer_and_scheduler(1)
    trainer.current_gradient_accumulation_steps = 1
    return trainer


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


def train(trainer: SDARTrainer, episodes: Sequence[Episode]) -> None:
    trainer.train_on(trainer.model, episodes)
    trainer.update.step(trainer.model)


def train_trl(trainer, rows: list[Row], budget: int) -> None:
    """TRL's loss on the same rows in the same micro-batches, with its reference pass and optimiser step."""
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


def bare_forward(trainer: SDARTrainer, rows: list[Row], *, teacher: bool) -> None:
    device, pad = trainer.accelerator.device, trainer._tokenizer.pad_token_id
    with torch.no_grad():
        for indices in split_microbatches(rows, range(len(rows)), trainer.recipe.optimiser.tokens_per_microbatch):
            logps(trainer, trainer.model, collate([rows[i] for i in indices], pad, device, teacher=teacher))


def logps(trainer, model, batch):
    return trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].size(1),
    )[0]


def summarise(times: dict[str, list[float]]) -> dict:
    rollout = times["rollout"]
    grpo = add(rollout, times["grpo"])
    pairs = {
        f"step: {label} / grpo": (
            add(times["rollout, skill_grpo"] if label == "skill_grpo" else rollout, times[label]),
            grpo,
        )
        for label in METHODS
        if label != "grpo"
    }
    pairs |= {
        "step: sdar / TRL's GRPO": (add(rollout, times["sdar"]), add(rollout, times["trl"])),
        "training only: sdar / grpo": (times["sdar"], times["grpo"]),
        "training only: sdar / TRL's GRPO": (times["sdar"], times["trl"]),
        "added by sdar / bare teacher forward": (subtract(times["sdar"], times["grpo"]), times["floor"]),
        "teacher pass / bare teacher forward": (times["teacher pass"], times["floor"]),
    }
    return {
        "machine": f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads",
        "repeats": len(rollout),
        "seconds": {key: quartiles(values) for key, values in times.items()},
        "ratios": {key: quartiles([a / b for a, b in zip(x, y, strict=True)]) for key, (x, y) in pairs.items()},
    }


def add(a: list[float], b: list[float]) -> list[float]:
    return [x + y for x, y in zip(a, b, strict=True)]


def subtract(a: list[float], b: list[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": middle, "q1": low, "q3": high}


def report(figures: dict, options) -> None:
    print(f"{options.recipe}, {figures['repeats']} repetitions, {figures['machine']}\n")
    for title, unit in (("seconds", " s"), ("ratios", "")):
        print(f"{title:<38} {'median':>9} {'quartiles':>19}")
        for key, cell in figures[title].items():
            spread = f"{cell['q1']:.3f} to {cell['q3']:.3f}{unit}"
            print(f"{key:<38} {cell['median']:>8.3f}{unit:2} {spread:>18}")
        print()


if __name__ == "__main__":
    main()
