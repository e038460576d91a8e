"""``sdar train --nproc 2`` on one server: each rank asks by itself, as often as its episodes need, and both have the
weights of the step, even when the server is started again between two answers.

What TRL's server mode would do in the place of that: hand a rank the answers to another one's prompts where their
numbers differ, and wait for ever for a rank whose episodes have ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_vllm import FakeVllm

from sdar_cli.rollout.replay import read_rollouts
from sdar_cli.tracking.journal import Journal

pytestmark = [pytest.mark.train, pytest.mark.long]

UNEVEN = ("rollout.context=full", "rollout.max_turns=5", "rollout.max_prompt_tokens=95")
"""Three groups on two ranks, whose tasks differ in length: in one of the steps, an episode of the first rank has room
for a turn more than those of the second."""

SHORT = (
    "train.steps=2",
    "rollout.tasks=3",
    "rollout.group=2",
    "rollout.max_turns=2",
    "rollout.max_response_tokens=6",
    "evaluation.tasks=2",
    "evaluation.transcripts=0",
    "tracking.traces=0",
    "tracking.system_metrics=false",
    "optimiser.learning_rate=1e-2",
    "warmup=null",
    "engine.kind=vllm",
    "engine.mode=server",
    "engine.patience=60",
)


@pytest.fixture(scope="module")
def household(tmp_path_factory) -> Path:
    """A random policy for household; three tasks are shared unequally by two ranks."""
    from sdar_cli.models.tiny import create
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.workshop import Workshop

    recipe = load_recipe("quickstart").recipe
    with Workshop.open(recipe) as workshop:
        return create(recipe, workshop.environment, workshop.bank, tmp_path_factory.mktemp("two") / "base").folder


@pytest.fixture
def household_vllm(household: Path):
    with FakeVllm(household) as server:
        yield server


def train(root: Path, base: Path, vllm: FakeVllm, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sdar_cli.cli.main", "train", "--recipe", "quickstart", "--name", "two"]
    command += ["--nproc", "2", "--runs", str(root), "--model", str(base), "model.tiny=null", *SHORT]
    return subprocess.run(
        [*command, f"engine.server_url={vllm.url}", *words],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )


def test_both_sample_from_the_steps_weights_whatever_the_server_does(
    household_vllm: FakeVllm, household: Path, tmp_path: Path
) -> None:
    household_vllm.restart_after = 25
    recording = tmp_path / "rollouts.jsonl.gz"
    done = train(tmp_path, household, household_vllm, *UNEVEN, f"rollout.record={recording}")
    assert done.returncode == 0, done.stderr
    steps = read_rollouts(recording).values()
    turns = [[max(len(e.turns) for e in played if e.group % 2 == rank) for rank in range(2)] for played in steps]
    assert any(first != second for first, second in turns), f"the ranks' rollouts end at the same turns: {turns}"
    values = [values for record in Journal(tmp_path / "two" / "metrics.jsonl").read() for values in [_values(record)]]
    gaps = [v["sampling/logp_difference/max"] for v in values if "sampling/logp_difference/max" in v]
    assert len(gaps) == 2 and max(gaps) < 1e-3
    assert household_vllm.restart_after is None and household_vllm._boots == 2
    seeds = [body["seed"] for path, body in household_vllm.requests if path == "/v1/completions"]
    assert len(set(seeds)) > 0.5 * len(seeds), "ranks draw from streams of their own; a restart repeats some"


def test_a_stale_server_stops_both(household_vllm: FakeVllm, household: Path, tmp_path: Path) -> None:
    household_vllm.deaf = True
    done = train(tmp_path, household, household_vllm)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(errors) == 1, done.stderr
    assert "does not hold the policy's weights after they were sent" in errors[0]


def _values(record) -> dict:
    record = record if isinstance(record, dict) else vars(record)
    return {**record, **record.get("metrics", {}), **record.get("values", {})}
