"""Peak memory of a training step as episodes grow longer, with as many tokens to a micro-batch.

    python benchmarks/memory.py [--repeats 3] [--episodes 24] [--budget 1024] [--json FILE] [--embed]

Made-up episodes with lengths as ALFWorld's (a task, two turns of history, what may be done now, an answer), divided
by ``--scale``, are trained on by a Qwen3 with random weights: teacher, reference, update. What is measured is the most
that a step holds beyond what lies there between steps (weights, the optimiser's moments): on a GPU torch's own count,
on a CPU the sum of what torch's allocator gave and took back, from its profiler. Sampling is left out. A repetition
draws new episodes; ratios are of one repetition's.

On a GPU, Qwen3-1.7B's shape: --layers 28 --width 2048 --heads 16 --mlp 6144 --vocabulary 151936 --scale 1
--budget 16384 --dtype bfloat16 --checkpointing
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler says when it starts and stops

import torch
import transformers
from make_trainer import make_trainer, train
from marked import embed, table
from spread import machine, quartiles, ratios, show

from sdar_cli.models.tiny import MAX_POSITIONS, build_model, build_tokenizer
from sdar_cli.recipe.schema import Recipe, TinyModel
from sdar_cli.rollout.episode import Episode, Turn
from sdar_cli.training.rows import STUDENT, make_rows, split_microbatches
from sdar_cli.training.trainer import SDARTrainer
from sdar_envs.base import Task

MIB = 2**20
PAGE = Path(__file__).resolve().parents[1] / "docs" / "memory.md"
WINDOW = (5, 15, 50)
"""Turns of an episode; the first is what the others are compared with."""
FULL = (5, 15, 50, 100)


@dataclass(frozen=True, slots=True)
class Shape:
    layers: int = 2
    width: int = 64
    heads: int = 4
    mlp: int = 128
    vocabulary: int = 256
    scale: int = 16
    """Lengths are divided by it."""
    budget: int = 1024
    episodes: int = 24
    """Under window context; a quarter of them under full context."""
    dtype: str = "float32"
    checkpointing: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--embed", action="store_true", help=f"write the table into {PAGE.name}")
    for name, default in ((name, getattr(Shape(), name)) for name in Shape.__slots__):
        about = {"action": "store_true"} if default is False else {"type": type(default), "default": default}
        parser.add_argument(f"--{name}", **about)
    options = parser.parse_args()
    shape = Shape(**{name: getattr(options, name) for name in Shape.__slots__})
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(shape, options.repeats, Path(scratch))
    figures = summarise(found)
    figures["layouts"] = {name: quartiles(values) for name, values in layouts(options.repeats).items()}
    print(f"{machine()}\n{shape}\n")
    show("MiB at the peak of a step, beyond its rest", figures["peak, MiB"], digits=2)
    show("ratios", figures["ratios"])
    show("share of padding", figures["padding"])
    show("padding at full lengths", figures["layouts"])
    show("tokens of the longest row", figures["longest row"], digits=0)
    if options.embed:
        embed(PAGE, "benchmarks/memory.py --embed", as_markdown(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(shape: Shape, repeats: int, scratch: Path) -> dict[str, dict[str, list[float]]]:
    """Context and turns → peak, padding and longest row of every repetition."""
    out: dict[str, dict[str, list[float]]] = {}
    base = save_base(shape, scratch / "base")
    for context, lengths in (("window", WINDOW), ("full", FULL)):
        trainer = trainer_of(shape, base, context, scratch)
        train(trainer, played(shape, context, min(lengths), -1))  # so that the optimiser's moments lie there
        for repeat in range(repeats):
            for turns in lengths:
                episodes = played(shape, context, turns, repeat)
                with peak() as bytes_:
                    train(trainer, episodes)
                cell = out.setdefault(f"{context}, {turns} turns", {"peak": [], "padding": [], "longest": []})
                cell["peak"].append(bytes_() / MIB)
                cell["padding"].append(trainer.step_metrics["optim/padding"])
                ends = [turn for e in episodes for turn in (e.turns if context == "window" else e.turns[-1:])]
                cell["longest"].append(float(max(len(turn.prompt_ids) + len(turn.response_ids) for turn in ends)))
    return out


def layouts(repeats: int) -> dict[str, list[float]]:
    """At full lengths, 16 episodes of 15 turns and a budget of 16384: padding of rows moved to the left, beside TRL's
    layout of the same rows, and by how much that exceeds the budget at most."""
    out: dict[str, list[float]] = {"to the left": [], "on both sides": [], "on both sides, over budget": []}
    for repeat in range(repeats):
        rows = make_rows(played(Shape(scale=1, episodes=16), "window", 15, repeat), "window")
        tokens = sum(row.student_tokens for row in rows)
        batches = [[rows[i] for i in own] for own in split_microbatches(rows, range(len(rows)), 16384, tokens=STUDENT)]
        left = [len(own) * max(row.student_tokens for row in own) for own in batches]
        both = [
            len(own) * (max(len(row.prompt_ids) for row in own) + max(len(row.completion_ids) for row in own))
            for own in batches
        ]
        out["to the left"].append(1 - tokens / sum(left))
        out["on both sides"].append(1 - tokens / sum(both))
        out["on both sides, over budget"].append(max(both) / 16384 - 1)
    return out


def summarise(found: dict[str, dict[str, list[float]]]) -> dict:
    peaks = {name: cell["peak"] for name, cell in found.items()}
    pairs = [
        (f"{context}, {turns} turns / {lengths[0]}", f"{context}, {turns} turns", f"{context}, {lengths[0]} turns")
        for context, lengths in (("window", WINDOW), ("full", FULL))
        for turns in lengths[1:]
    ]
    return {
        "peak, MiB": {name: quartiles(values) for name, values in peaks.items()},
        "ratios": {name: ratios(peaks[one], peaks[other]) for name, one, other in pairs},
        "padding": {name: quartiles(cell["padding"]) for name, cell in found.items()},
        "longest row": {name: quartiles(cell["longest"]) for name, cell in found.items()},
    }


def as_markdown(figures: dict) -> str:
    head = ("episodes", "longest row, tokens", "MiB at the peak", "over 5 turns", "quartiles", "padding")
    body = []
    for name, cell in figures["peak, MiB"].items():
        ratio = figures["ratios"].get(f"{name} / {WINDOW[0]}")
        spread = f"{ratio['q1']:.3f} to {ratio['q3']:.3f}" if ratio else ""
        longest, padding = figures["longest row"][name]["median"], figures["padding"][name]["median"]
        median = f"{ratio['median']:.3f}" if ratio else "1"
        body.append((name, f"{longest:.0f}", f"{cell['median']:.2f}", median, spread, f"{padding:.1%}"))
    return table(head, body)


def played(shape: Shape, context: str, turns: int, seed: int) -> list[Episode]:
    """Episodes of so many turns; half of each group is rewarded, so that there is a gradient."""
    draw = random.Random(f"{seed}/{turns}")

    def tokens(low: int, high: int) -> list[int]:
        count = max(1, draw.randint(low, high) // shape.scale)
        return [draw.randrange(4, shape.vocabulary) for _ in range(count)]

    out = []
    for number in range(shape.episodes if context == "window" else shape.episodes // 4):
        episode = Episode(Task(f"t{number // 4}", "type"), "", number // 4, number % 4, has_task_skill=True)
        task, skills = tokens(380, 520), tokens(250, 500)
        whole: list[int] = []
        for index in range(turns):
            if context == "window":
                history = [token for _ in range(min(index, 2)) for token in tokens(40, 180)]
                prompt = task + history + tokens(60, 420)
            else:
                prompt = whole + (tokens(40, 180) if index else task)
            answer = tokens(8, 200) if draw.random() < 0.9 else tokens(200, 512)
            taught = skills + prompt if context == "window" or not index else None
            episode.turns.append(Turn(index, prompt, taught, answer, None, "", "", "", None, "", 0.0))
            whole = prompt + answer
        episode.reward, episode.won = (10.0, True) if number % 2 else (0.0, False)
        out.append(episode)
    return out


def save_base(shape: Shape, folder: Path) -> Path:
    letters = str.maketrans("0123456789", "abcdefghij")
    tokenizer = build_tokenizer([" ".join(f"word{i}".translate(letters) for i in range(shape.vocabulary))])
    about = TinyModel(layers=shape.layers, width=shape.width, heads=shape.heads, mlp=shape.mlp)
    model = build_model(about, tokenizer, seed=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trainer_of(shape: Shape, base: Path, context: str, scratch: Path) -> SDARTrainer:
    recipe = Recipe.model_validate(
        {
            "name": "memory",
            "environment": {"name": "household"},
            "model": {"path": str(base), "dtype": shape.dtype, "gradient_checkpointing": shape.checkpointing},
            "rollout": {"tasks": 2, "group": 4, "context": context},
            "optimiser": {"tokens_per_microbatch": shape.budget},
            "policy": {"kl_coef": 0.01},
            "train": {"steps": 100},
        }
    )
    trainer = make_trainer(recipe, str(base), scratch / context, max_model_tokens=MAX_POSITIONS)
    if shape.checkpointing:  # as Hugging Face's loop does
        trainer.model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    return trainer


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Yields what, after the block, says how many bytes were held at most beyond those before it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield lambda: torch.cuda.max_memory_allocated() - before
        return
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        yield lambda: _most_held(profiler)


def _most_held(profiler: torch.profiler.profile) -> int:
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


if __name__ == "__main__":
    main()
