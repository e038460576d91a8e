"""Pairs of settings that must be the same run, on a replayed rollout, through the CLI: metrics and weights to 1e-6.

1. Two ranks are one, also where one has more groups, more rows, or no row at all, or none has any.
2. Micro-batches are one batch.
3. Window context is full context, where episodes have one turn.
4. A run that is stopped by a signal to one of its two ranks, behind a step or by dropping one, and then resumed is the
   run that was not.
5. So is one whose weights lie in parts on its ranks, full or with an adapter and an averaged teacher: FSDP2, and
   DeepSpeed's ZeRO-3, which keeps gradients and the weights that it steps in float32 and is held to 1e-5.
6. So is one of two ranks that a single one goes on with.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from ranked_commands import run_all
from safetensors.torch import load_file
from same_run_kit import DEEPSPEED, LORA, SPREAD, STEPS, Runs, differences, in_ranks, make_base, needs_deepspeed

from sdar_cli.rollout.replay import read_rollouts

FROZEN = ("teacher.kind=frozen", "policy.kl_coef=0")
HALF = ("model.dtype=bfloat16", "teacher.kind=ema", "teacher.ema_decay=0.5", "optimiser.tokens_per_microbatch=70")
ALONE = {
    "plain": (),
    "micro": ("optimiser.tokens_per_microbatch=40",),
    "spread": SPREAD,
    "one-group": ("rollout.tasks=1",),
    "window": ("REPLAY=one-turn",),
    "full": ("REPLAY=one-turn", "rollout.context=full"),
    "lora": LORA,
    "frozen": FROZEN,
    "idle": ("REPLAY=idle",),
}
COLLAPSE = ("guards.stop_on_collapse=true", "guards.entropy=[7.5, 8]", "guards.patience=1")


def make(root: Path) -> None:
    make_base(root)
    made = Runs(root)
    codes = run_all([made.command(name, *overrides) for name, overrides in ALONE.items()])
    assert codes == [0] * len(ALONE)
    both, said = in_ranks(root, [command for command, _ in of_two(made)])
    assert both == [[code for _, code in of_two(made)]] * 2, said
    with (root / "said.txt").open("w", encoding="utf-8") as file, redirect_stderr(file):
        assert run_all([made.resume("one-group-2")]) == [0]


def of_two(made: Runs) -> list[tuple[dict, int]]:
    """Commands of two ranks, and the exit code of each."""
    commands = [
        (made.command("plain-2"), 0),
        (made.command("spread-2", *SPREAD), 0),
        (made.command("one-group-2", "rollout.tasks=1") | {"signal": [1, 1]}, 143),
        (made.command("resumed-2") | {"signal": [1, 0]}, 143),
        (made.resume("resumed-2", "--grace", "0") | {"told": [0, 2]}, 143),
        (made.resume("resumed-2"), 0),
        (made.command("lacking-2", "rollout.tasks=4"), 2),
        (made.command("nan-2", *SPREAD) | {"spoil": [1, 1]}, 1),
        (made.command("collapsed-2", *COLLAPSE), 1),
        (made.command("sharded-2", "--dist", "fsdp2", *SPREAD) | {"signal": [0, 0]}, 143),
        (made.resume("sharded-2", "--dist", "fsdp2", "--grace", "0") | {"told": [1, 2], "divides": True}, 143),
        (made.resume("sharded-2"), 2),
        (made.resume("sharded-2", "--dist", "fsdp2"), 0),
        (made.command("sharded-lora-2", "--dist", "fsdp2", *LORA), 0),
        (made.command("sharded-frozen-2", "--dist", "fsdp2", *FROZEN), 0),
        (made.command("sharded-one-group-2", "--dist", "fsdp2", "rollout.tasks=1"), 0),
        (made.command("sharded-idle-2", "--dist", "fsdp2", "REPLAY=idle"), 0),
        (made.command("sharded-half-2", "--dist", "fsdp2", *HALF) | {"rounds": False}, 0),
    ]
    if DEEPSPEED:
        commands += [
            (made.command("zero-2", "--dist", "zero3", *SPREAD) | {"signal": [0, 0]}, 143),
            (made.resume("zero-2", "--dist", "zero3", "--grace", "0") | {"told": [1, 2]}, 143),
            (made.resume("zero-2", "--dist", "zero3"), 0),
            (made.command("zero-lora-2", "--dist", "zero3", *LORA), 0),
            (made.command("zero-frozen-2", "--dist", "zero3", *FROZEN), 0),
            (made.command("zero-idle-2", "--dist", "zero3", "REPLAY=idle"), 0),
            (made.command("zero-half-2", "--dist", "zero3", *HALF) | {"rounds": False}, 0),
            (made.command("zero-nan-2", "--dist", "zero3") | {"spoil": [1, 1]}, 1),
        ]
    return commands


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Made once, also where several processes share the tests of this file."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root = shared / "same-run"
    with (shared / "same-run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "said.txt").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            make(root)
    return Runs(root)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("plain-2", "plain"),
        ("spread-2", "spread"),
        ("one-group-2", "one-group"),  # its last step by one rank
        ("micro", "plain"),
        ("full", "window"),
        ("resumed-2", "plain-2"),
        ("sharded-2", "spread"),
        ("sharded-lora-2", "lora"),
        ("sharded-frozen-2", "frozen"),
        ("sharded-one-group-2", "one-group"),
        ("sharded-idle-2", "idle"),
    ],
)
def test_they_are_the_same_run(runs: Runs, one: str, other: str) -> None:
    assert not differences(runs, one, other)


@needs_deepspeed
@pytest.mark.parametrize(
    ("one", "other"),
    [("zero-2", "spread"), ("zero-lora-2", "lora"), ("zero-frozen-2", "frozen"), ("zero-idle-2", "idle")],
)
def test_deepspeed_divides_the_same_run(runs: Runs, one: str, other: str) -> None:
    assert not differences(runs, one, other, relative=1e-5)


@needs_deepspeed
def test_a_divided_checkpoint_is_an_ordinary_folder(runs: Runs) -> None:
    """It has what another run has."""
    names = [{path.name for path in runs.folder(run).checkpoint(STEPS).path.iterdir()} for run in ("zero-2", "plain-2")]
    assert names[0] == names[1]


@pytest.mark.parametrize("name", ["sharded-half-2", pytest.param("zero-half-2", marks=needs_deepspeed)])
def test_an_average_is_of_what_the_optimiser_steps(runs: Runs, name: str) -> None:
    """And not of its roundings to bfloat16, with which the passes compute."""
    average = load_file(runs.folder(name).checkpoint(STEPS).path / "ema.safetensors")
    rounded = {key: value.bfloat16().float() for key, value in average.items()}
    assert all((average[key] != rounded[key]).float().mean() > 0.5 for key in average if "layers" in key)


def test_another_way_to_divide_is_refused(runs: Runs) -> None:
    """The refused command left the run as it was: the next one finished it."""
    assert "--dist fsdp2" in (runs.root / "two.err").read_text()
    assert runs.folder("sharded-2").state.status == "finished"


def test_another_number_of_ranks_is_said(runs: Runs) -> None:
    assert "note: the checkpoint is of 2 processes and 1 go on" in (runs.root / "said.txt").read_text()


def test_the_signal_stopped_both_ranks_at_one_step(runs: Runs) -> None:
    """A checkpoint of the step in which one rank got it, and one of what was before a step that both dropped."""
    lines = [json.loads(line) for line in (runs.folder("resumed-2").path / "metrics.jsonl").read_text().splitlines()]
    assert [line["rewind"] for line in lines if "rewind" in line] == [0, 1, 2]


def test_what_one_rank_lacks_ends_all_with_its_sentence(runs: Runs) -> None:
    """The fourth group is the second rank's, and the first writes down what that one found."""
    state = runs.folder("lacking-2").state
    assert state.status == "failed" and "has no group 3 at step 0" in state.error


def test_a_nan_on_one_rank_is_saved_with_its_batch(runs: Runs) -> None:
    run = runs.folder("nan-2")
    assert run.state.status == "failed" and "step 2 met a NaN or an infinity in the policy loss" in run.state.error
    saved = run.failure(2)
    assert {path.name for path in saved.iterdir()} == {
        "about.json",
        "batch.safetensors",
        "model",
        "recipe.yaml",
        "rollout.jsonl.gz",
    }
    assert [len(played) for played in read_rollouts(saved / "rollout.jsonl.gz").values()] == [9]
    batch = load_file(saved / "batch.safetensors")
    prompts = [ids[mask.bool()].tolist() for ids, mask in zip(batch["prompt_ids"], batch["prompt_mask"], strict=True)]
    second = [turn.prompt_ids for e in read_rollouts(runs.root / "whole.jsonl")[1] if e.group == 1 for turn in e.turns]
    assert prompts and all(prompt in second for prompt in prompts)


def test_a_collapse_ends_all_ranks_at_one_step(runs: Runs) -> None:
    run = runs.folder("collapsed-2")
    assert (run.state.status, run.state.step, [c.step for c in run.checkpoints()]) == ("collapsed", 1, [1])


def test_ranks_share_the_panel(runs: Runs) -> None:
    """Each task once, in the panel's order."""
    tasks = []
    for name in ("plain", "plain-2"):
        result = json.loads((runs.folder(name).path / "evaluations" / "base-no_skills.json").read_text())
        tasks.append([record["task_id"] for record in result["records"]])
    assert tasks[0] == tasks[1] and len(tasks[0]) == 3
