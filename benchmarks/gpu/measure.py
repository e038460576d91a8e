"""One model's figures: generation, training, teacher, a whole step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from make_trainer import make_trainer, train
from spread import quartiles, ratios
from transformers.utils.logging import disable_progress_bar

from gpu.clock import Stopwatch, seconds
from gpu.flops import forward, peak
from gpu.models import Model, write
from gpu.work import Work
from sdar_cli.models.load import add_lora, load_model
from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.shapes import model_shape
from sdar_cli.training.trainer import SDARTrainer


def measure(model: Model, engine: str, work: Work, repeats: int, scratch: Path) -> dict[str, Any]:
    """Figures as plain data; the first repetition is warm-up."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    disable_progress_bar()
    folder = scratch / "model"
    write(model, folder, device)
    trainer, without = build(model, engine, work, folder, scratch)
    shape = model_shape(trainer.recipe.model)
    assert shape is not None
    words = len(trainer.processing_class)
    fastest, source = peak(device)
    sampled, generating = generation(trainer, work.prompts(words), repeats, device)
    memory = {"generation": peak_memory(device)}
    sdar, grpo, backward, teacher = training(trainer, without, work, words, repeats, device)
    memory["training"] = peak_memory(device)
    backwards = 2 if model.lora else 3
    reads = [(work.prompt + tokens, tokens) for tokens in sampled]
    parts = {
        "generation": (sum(sampled), forward(shape, reads), generating),
        "forward and backward": (
            sum(length for length, _ in work.student),
            backwards * forward(shape, work.student),
            backward,
        ),
        "teacher": (sum(length for length, _ in work.teacher), forward(shape, work.teacher), teacher),
    }
    played = median(generating) * work.turns
    return {
        "weights": shape.parameters,
        "trains": "LoRA of rank 32" if model.lora else "all weights",
        "dtype": trainer.recipe.model.dtype,
        "engine": engine,
        "work": asdict(work),
        "peak": {"operations": fastest, "source": source},
        "parts": {
            name: {
                "tokens_a_second": quartiles([tokens / value for value in times]),
                "share_of_peak": quartiles([operations / value / fastest for value in times]),
            }
            for name, (tokens, operations, times) in parts.items()
        },
        "seconds": {
            "generation of a turn": quartiles(generating),
            "training, sdar": quartiles(sdar),
            "training, grpo": quartiles(grpo),
        },
        "peak_gib": memory,
        "ratios": {
            "whole step: sdar / grpo": ratios([played + t for t in sdar], [played + t for t in grpo]),
            "training only: sdar / grpo": ratios(sdar, grpo),
        },
    }


def build(model: Model, engine: str, work: Work, folder: Path, scratch: Path) -> tuple[SDARTrainer, Settings]:
    """The recipe's trainer, and the settings of a step without SDAR: λ = 0, which is GRPO bit for bit."""
    own = [f"model.path={folder}", f"engine.kind={engine}", "method=sdar", "train.steps=1000"]
    own += [f"rollout.tasks={-(-work.episodes // work.group)}", f"rollout.group={work.group}"]
    own += [f"rollout.max_response_tokens={work.response}", *model.overrides]
    recipe = load_recipe(model.recipe, [], own).recipe
    network = load_model(str(folder))
    if recipe.model.lora is not None:
        network = add_lora(network, recipe.model.lora, recipe.seed)
    longest = work.prompt + work.skills + work.response
    trainer = make_trainer(recipe, str(folder), scratch / "out", model=network, max_model_tokens=longest)
    without = load_recipe(model.recipe, [], [*own, "distill.coef=0"]).recipe
    return trainer, Settings.at(without, 0)


def generation(
    trainer: SDARTrainer, prompts: Sequence[list[int]], repeats: int, device: torch.device
) -> tuple[list[int], list[float]]:
    """Tokens that each prompt's answer has, in the last repetition, and the seconds of every repetition."""
    reset_memory(device)
    if trainer.engine is not None:
        trainer.engine.sync(0)
        trainer.engine.restart_stream("training", 0, 0, 0)
    times: list[float] = []
    answers: list[Any] = []
    for repeat in range(repeats + 1):
        spent = seconds(lambda: answers.__setitem__(slice(None), trainer.generate(prompts)), device)
        times += [spent] if repeat else []
    return [len(answer.ids) for answer in answers], times


def training(
    trainer: SDARTrainer, without: Settings, work: Work, words: int, repeats: int, device: torch.device
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Seconds of scoring and training with SDAR and without, of the latter's forward and backward passes, and of the
    former's teacher pass."""
    reset_memory(device)
    with_sdar = trainer.settings
    watch = Stopwatch(trainer.update.backward, device)
    trainer.update.backward = watch
    episodes = work.play(words)
    times: dict[str, list[float]] = {"sdar": [], "grpo": [], "backward": [], "teacher": []}

    for repeat in range(repeats + 1):
        for name in ("sdar", "grpo") if repeat % 2 else ("grpo", "sdar"):
            trainer.settings = with_sdar if name == "sdar" else without
            watch.total = 0.0
            spent = seconds(lambda: train(trainer, episodes), device)
            if repeat:
                times[name].append(spent)
                part, spent = ("backward", watch.total) if name == "grpo" else ("teacher", teacher_seconds(trainer))
                times[part].append(spent)
    trainer.settings = with_sdar
    return times["sdar"], times["grpo"], times["backward"], times["teacher"]


def teacher_seconds(trainer: SDARTrainer) -> float:
    return trainer.scorer.timings()["time/teacher"]


def reset_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> float | None:
    """GiB that torch held at most since the last reset; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
