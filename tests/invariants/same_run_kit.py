"""Short runs on a replayed rollout, alone or on several ranks, and what two of them do not agree on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import episodes

from sdar_cli.rollout.episode import StopReason
from sdar_cli.rollout.replay import append_rollout
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

STEPS = 3
SHORT = (
    f"train.steps={STEPS}",
    "train.checkpoint_every=2",
    "rollout.tasks=3",
    "rollout.group=3",
    "rollout.max_turns=1",
    "rollout.max_response_tokens=8",
    "optimiser.learning_rate=1e-2",
    "distill.coef=0.5",
    "teacher.kind=live",
    "evaluation.tasks=3",
    "evaluation.transcripts=0",
    "tracking.traces=0",
    "tracking.system_metrics=false",
    "warmup=null",
)
LORA = ("model.lora={rank: 4, alpha: 8, targets: all-linear}", "teacher.kind=ema", "teacher.ema_decay=0.5")
SPREAD = ("optimiser.rows_per_update=7", "optimiser.tokens_per_microbatch=70")
SPLIT = ("time/", "eval/", "optim/padding")
"""What depends on how rows are spread over ranks and micro-batches, or is looked at elsewhere."""
DEEPSPEED = find_spec("deepspeed") is not None
needs_deepspeed = pytest.mark.skipif(not DEEPSPEED, reason="DeepSpeed is not installed (the zero3 extra)")


@dataclass(frozen=True, slots=True)
class Runs:
    root: Path

    def folder(self, name: str) -> RunFolder:
        return RunFolder.open(self.root / "runs" / name)

    def command(self, name: str, *overrides: str) -> dict:
        recording = next((word.removeprefix("REPLAY=") for word in overrides if word.startswith("REPLAY=")), "whole")
        words = ["train", "--recipe", "quickstart", "--name", name, "--runs", str(self.root / "runs")]
        words += ["--model", str(self.root / "base"), "model.tiny=null", *SHORT]
        words += [word for word in overrides if not word.startswith("REPLAY=")]
        return {"words": [*words, f"rollout.replay={self.root / recording}.jsonl"]}

    def resume(self, name: str, *options: str) -> dict:
        return {"words": ["resume", name, "--runs", str(self.root / "runs"), *options]}


def record(root: Path, vocabulary: int) -> None:
    for step in range(STEPS):
        played = episodes(step, vocabulary, groups=3, group=3)
        append_rollout(root / "whole.jsonl", step, played)
        for episode in played:
            del episode.turns[1:]
        append_rollout(root / "one-turn.jsonl", step, played)
        for episode in played if step == 1 else ():
            episode.stop, episode.error = StopReason.ENVIRONMENT_ERROR, "the environment is gone"
        append_rollout(root / "idle.jsonl", step, played)


def in_ranks(root: Path, commands: list[dict], number: int = 2, *, killed: bool = False) -> tuple[list, str]:
    """Exit codes of each rank, and what they said; of ranks that are killed no codes."""
    spec = root / "two.json"
    spec.write_text(json.dumps(commands))
    worker = Path(__file__).with_name("ranked_commands.py")
    where = ("--standalone", f"--nproc-per-node={number}")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *where, str(worker), str(spec)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    (root / "two.err").write_text(done.stderr)
    assert (done.returncode != 0) == killed, done.stderr[-6000:]
    if killed:
        return [], done.stderr
    return [json.loads(Path(f"{spec}.{rank}").read_text()) for rank in range(number)], done.stderr


def make_base(root: Path) -> None:
    """A random policy and what is played with it."""
    from sdar_cli.models.load import load_tokenizer
    from sdar_cli.models.tiny import create
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.workshop import Workshop

    recipe = load_recipe("quickstart").recipe
    with Workshop.open(recipe) as workshop:
        create(recipe, workshop.environment, workshop.bank, root / "base")
    record(root, len(load_tokenizer(str(root / "base"))))


def differences(runs: Runs, one: str, other: str, relative: float = 1e-6) -> list[str]:
    """What two runs do not agree on."""
    ours, theirs = runs.folder(one), runs.folder(other)
    out = []
    rows = [
        [row for row in Journal(run.path / "metrics.jsonl").read() if "loss/total" in row] for run in (ours, theirs)
    ]
    assert len(rows[0]) == len(rows[1]) == STEPS
    for mine, wanted in zip(*rows, strict=True):
        assert mine["optim/grad_norm"] > 0 or mine["optim/rows"] == 0
        names = [{name for name in row if not name.startswith(SPLIT)} for row in (mine, wanted)]
        if names[0] != names[1]:
            out.append(f"step {mine['step']}: {names[0] ^ names[1]}")
        out += [
            f"step {mine['step']}: {name} is {mine[name]} and {wanted[name]}"
            for name in names[0] & names[1]
            if mine[name] != pytest.approx(wanted[name], rel=relative, abs=relative / 10)
        ]
    ends = [weights(run.checkpoint(STEPS).path) for run in (ours, theirs)]
    if ends[0].keys() != ends[1].keys():  # parts are put together without a thought of tied weights
        assert torch.equal(ends[0].pop("lm_head.weight"), ends[0]["model.embed_tokens.weight"])
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[1].items():
        if not (ends[0][name] - value).norm() <= relative * value.norm():
            out.append(f"{name} is off by {(ends[0][name] - value).norm() / value.norm():.1e}")
    start = load_file(runs.root / "base" / "model.safetensors")
    moved = [(start[name].double() if name in start else 0 * value) - value for name, value in ends[1].items()]
    assert any(by.norm() > 1e-3 * value.norm() for by, value in zip(moved, ends[1].values(), strict=True))
    return out


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The model's or the adapter's, and those of a teacher that is an average."""
    return {name: value for file in checkpoint.glob("*.safetensors") for name, value in load_file(file).items()}
