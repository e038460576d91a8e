"""What distillation costs: an SDAR step over a GRPO step and over TRL's own trainer, on the same rows.

    python benchmarks/step.py [--repeats 15] [--json FILE]

Every repetition plays one rollout of the quickstart recipe with a random tiny model, then trains on its
rows with each trainer in turn, in an order that rotates, in one process. Printed are medians with
quartiles, and ratios of the medians of paired repetitions. Seconds depend on the machine; ratios much
less.

``floor`` is a bare teacher forward over the same rows and micro-batches, nothing else: the least that any
teacher pass can take.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch

from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.models.tiny import create
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.loop import Start
from sdar_cli.training.batch import collate
from sdar_cli.training.rows import Row, make_rows, split_microbatches
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.trainer import SDARTrainer
from sdar_cli.training.trl_seam import grpo_config
from sdar_cli.workshop import Workshop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
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
    shared = ["optimiser.rows_per_update=null", "train.steps=1"]
    recipes = {
        "sdar": load_recipe(name, [], [*shared, "method=sdar"]).recipe,
        "grpo": load_recipe(name, [], [*shared, "method=grpo"]).recipe,
    }
    with Workshop.open(recipes["sdar"]) as workshop:
        base = str(create(recipes["sdar"], workshop.environment, workshop.bank, scratch / "base").folder)
        trainers = {key: make_trainer(recipe, workshop, base, scratch) for key, recipe in recipes.items()}
        plain = make_trl(recipes["grpo"], base, scratch)
        times: dict[str, list[float]] = defaultdict(list)
        for repeat in range(repeats + 1):
            one = repetition(repeat, workshop, trainers, plain)
            if repeat:
                for key, seconds in one.items():
                    times[key].append(seconds)
    return times


def repetition(repeat: int, workshop: Workshop, trainers: dict, plain) -> dict[str, float]:
    sdar = trainers["sdar"]
    recipe = sdar.recipe
    tasks = sdar.schedule.at(repeat)
    starts = [Start(task, g, s) for g, task in enumerate(tasks) for s in range(recipe.rollout.group)]
    sdar.loop.timing.generation = sdar.loop.timing.environment = 0.0
    episodes = sdar.loop.play(starts)
    rows = make_rows(
        episodes,
        context=recipe.rollout.context,
        penalty=recipe.rollout.invalid_action_penalty,
        statistics=recipe.policy.advantage,
    )
    for row in rows:  # a random model rarely solves anything: without this, advantages would be all zero
        row.advantages = [1.0 if row.episode % 2 else -1.0] * len(row.advantages)
    parts = {
        "sdar": lambda: train(sdar, rows),
        "grpo": lambda: train(trainers["grpo"], rows),
        "trl": lambda: train_trl(plain, rows, recipe.optimiser.tokens_per_microbatch),
        "floor": lambda: teacher_floor(sdar, rows),
    }
    order = list(parts)
    order = order[repeat % len(order) :] + order[: repeat % len(order)]
    out = {"generation": sdar.loop.timing.generation, "environment": sdar.loop.timing.environment}
    for key in order:
        start = time.perf_counter()
        parts[key]()
        out[key] = time.perf_counter() - start
    out["teacher"] = sdar.scorer.timings()["time/teacher"]
    out["scoring"] = sdar.scorer.timings()["time/scoring"]
    return out


def make_trainer(recipe, workshop: Workshop, base: str, scratch: Path) -> SDARTrainer:
    tokenizer = load_tokenizer(base)
    trainer = SDARTrainer(
        recipe=recipe,
        model=load_model(base),
        tokenizer=tokenizer,
        make_loop=lambda made: workshop.loop(made, tokenizer, set(made.eos_token_ids), workshop.context(tokenizer)),
        schedule=TaskSchedule(workshop.environment.tasks("train"), recipe.rollout.tasks, recipe.seed),
        output=scratch,
        max_model_tokens=4096,
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


def train(trainer: SDARTrainer, rows: list[Row]) -> None:
    trainer.train_on_rows(trainer.model, rows)
    trainer._step_optimiser(trainer.model)


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


def teacher_floor(trainer: SDARTrainer, rows: list[Row]) -> None:
    device, pad = trainer.accelerator.device, trainer._tokenizer.pad_token_id
    with torch.no_grad():
        for indices in split_microbatches(rows, range(len(rows)), trainer.recipe.optimiser.tokens_per_microbatch):
            logps(trainer, trainer.model, collate([rows[i] for i in indices], pad, device, teacher=True))


def logps(trainer, model, batch):
    return trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].size(1),
    )[0]


def summarise(times: dict[str, list[float]]) -> dict:
    rollout = [g + e for g, e in zip(times["generation"], times["environment"], strict=True)]
    pairs = {
        "SDAR step / GRPO step": (add(rollout, times["sdar"]), add(rollout, times["grpo"])),
        "SDAR step / TRL GRPO step": (add(rollout, times["sdar"]), add(rollout, times["trl"])),
        "training only: SDAR / GRPO": (times["sdar"], times["grpo"]),
        "training only: SDAR / TRL GRPO": (times["sdar"], times["trl"]),
        "added by SDAR / teacher forward": (subtract(times["sdar"], times["grpo"]), times["floor"]),
        "teacher pass / teacher forward": (times["teacher"], times["floor"]),
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
        print(f"{title:<34} {'median':>9} {'quartiles':>19}")
        for key, cell in figures[title].items():
            spread = f"{cell['q1']:.3f} to {cell['q3']:.3f}{unit}"
            print(f"{key:<34} {cell['median']:>8.3f}{unit:2} {spread:>18}")
        print()


if __name__ == "__main__":
    main()
