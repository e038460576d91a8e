"""Two processes (gloo, torchrun) are one: the same losses, gradients, metrics and weights on a replayed rollout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from replayed_training import train_case
from safetensors.torch import load_file
from tiny_training import episodes, exact_head

from sdar_cli.rollout.episode import StopReason
from sdar_cli.rollout.replay import append_rollout

pytestmark = pytest.mark.train

THREE = {"rollout": {"tasks": 3}}
"""Groups 0 and 2 are the first rank's, group 1 the second's: unequal numbers of rows."""
SPREAD = {"optimiser": {"rows_per_update": 7, "tokens_per_microbatch": 70}}
CASES: dict[str, dict] = {
    "grpo": {"method": "grpo", "policy": {"kl_coef": 0.05, "entropy_coef": 0.02}},
    "sdar": {"distill": {"coef": 0.5}, **THREE},
    "sdar, many micro-batches": {"distill": {"coef": 0.5}, "optimiser": {"tokens_per_microbatch": 40}, **THREE},
    "several updates": {"distill": {"coef": 0.5}, **THREE, **SPREAD},
    "rlsd": {"method": "rlsd", "credit": {"clip": 0.6}, **THREE, **SPREAD},
    "agent_opsd": {"method": "agent_opsd", "credit": {"clip": 0.6}, **THREE},
    "reinforce": {"method": "reinforce", **THREE},
    "rloo": {"method": "rloo", **THREE, **SPREAD},
    "ppo_kl": {"method": "ppo_kl", **SPREAD},
    "skill_sd": {"method": "skill_sd", "distill": {"coef": 0.4}, **THREE, **SPREAD},
    "opsd": {"method": "opsd", "distill": {"coef": 0.5}, "gate": {"kind": "soft_or", "detach": False}},
    "zscore": {"distill": {"coef": 0.5}, "gate": {"normalise": "zscore"}, **THREE},
    "ema": {"distill": {"coef": 0.5}, "teacher": {"kind": "ema", "ema_decay": 0.5}, **THREE, **SPREAD},
    "reverse": {"distill": {"coef": 0.5, "divergence": "reverse"}, **THREE, **SPREAD},
    "jsd, ema": {"distill": {"coef": 0.5, "divergence": "jsd"}, "teacher": {"kind": "ema"}, **THREE},
    "a rank without a group": {"distill": {"coef": 0.5}, "gate": {"normalise": "zscore"}, "rollout": {"tasks": 1}},
    "a rank without a group, jsd": {"distill": {"coef": 0.5, "divergence": "jsd"}, "rollout": {"tasks": 1}, **SPREAD},
    "a rank without a group, agent_opsd": {"method": "agent_opsd", "rollout": {"tasks": 1}},
}
LOST = {
    "a rank that lost its episodes": {"method": "reinforce", "distill": {"coef": 0.5}},
    "a rank that lost its episodes, rlsd": {"method": "rlsd", **SPREAD},
}
"""On a recording whose second group crashed in two of the three steps."""
EXACT = ("loss/", "optim/", "rollout/", "distill/", "gate/beta", "credit/", "teacher/")
"""Metrics that agree to 1e-6; gaps and gates are summed in float32, and the mean of a gap nearly cancels."""


def record(path: Path, vocabulary: int, lost: bool) -> Path:
    for step in range(3):
        played = episodes(step, vocabulary, groups=3, group=3)
        for episode in played:
            if lost and episode.group == 1 and step > 0:
                episode.stop = StopReason.ENVIRONMENT_ERROR
        append_rollout(path, step, played)
    return path


def train_both(base: Path, root: Path) -> tuple[Path, Path]:
    """Folders of the two processes' results and of the one's."""
    from sdar_cli.models.load import load_tokenizer

    vocabulary = len(load_tokenizer(str(base)))
    whole = record(root / "rollouts.jsonl.gz", vocabulary, lost=False)
    lost = record(root / "lost.jsonl", vocabulary, lost=True)
    cases = {name: (in_threes(changes), str(whole)) for name, changes in CASES.items()}
    cases |= {name: (in_threes(changes), str(lost)) for name, changes in LOST.items()}
    spec = {"base": str(base), "output": str(root / "two"), "cases": cases}
    (root / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    worker = Path(__file__).with_name("replayed_training.py")
    done = subprocess.run(
        [*command, str(worker), str(root / "spec.json")],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    with pytest.MonkeyPatch.context() as patch:
        exact_head(patch)
        for name, (changes, path) in cases.items():
            train_case(base, root / "one" / name, changes, Path(path))
    return root / "two", root / "one"


def in_threes(changes: dict) -> dict:
    """Three samples a group, as recorded."""
    return {**changes, "rollout": {"group": 3, **changes.get("rollout", {})}}


def results(folder: Path, rank: int) -> tuple[list[dict], dict[str, torch.Tensor], int]:
    about = json.loads((folder / f"rank-{rank}.json").read_text())
    return about["steps"], load_file(folder / f"rank-{rank}.safetensors"), about["world"]


def differences(two: Path, one: Path) -> list[str]:
    """What two processes and one do not agree on, or the two among themselves."""
    alone, expected, world = results(one, 0)
    steps, weights, worlds = results(two, 0)
    others, same, _ = results(two, 1)
    assert (world, worlds) == (1, 2) and len(steps) == len(others) == len(alone) == 3
    out = []
    for number, (mine, other, wanted) in enumerate(zip(steps, others, alone, strict=True)):
        assert wanted["loss/total"] != 0 and wanted["optim/grad_norm"] > 0
        if not mine.keys() == wanted.keys() == other.keys():
            out.append(f"step {number}: the metrics' names")
            continue
        for key in (key for key in wanted if not key.startswith(("time/", "optim/padding"))):
            tolerance = {"rel": 1e-6, "abs": 1e-9} if key.startswith(EXACT) else {"rel": 1e-4, "abs": 1e-6}
            if key == "loss/total":  # Hugging Face's loop keeps a rank's in float32, and ranks nearly cancel
                tolerance["abs"] = 1e-7
            if mine[key] != other[key] or mine[key] != pytest.approx(wanted[key], **tolerance):
                out.append(f"step {number}: {key} is {mine[key]} and {other[key]}, alone {wanted[key]}")
    for key, value in expected.items():
        assert value.dtype == torch.float64
        if not torch.equal(weights[key], same[key]):
            out.append(f"{key} differs between the ranks")
        if not (weights[key] - value).norm() < 1e-6 * value.norm():
            out.append(f"{key} is off by {(weights[key] - value).norm() / value.norm():.1e}")
    return out


def test_two_processes_are_one(base, tmp_path):
    """All cases in one pair of processes: starting them is what takes the time."""
    two, one = train_both(base, tmp_path)
    found = {name: differences(two / name, one / name) for name in (*CASES, *LOST)}
    assert not {name: said for name, said in found.items() if said}
    steps, *_ = results(one / "several updates", 0)
    assert [step["optim/updates"] for step in steps] == [-(-step["optim/rows"] // 7) for step in steps]
    assert max(step["optim/updates"] for step in steps) > 1
