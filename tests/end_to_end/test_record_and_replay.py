"""``rollout.record`` and ``rollout.replay`` as a user types them: real rollouts, trained on once more."""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from short_sdar import Sdar, Trained, steps_of

from sdar_cli.rollout.replay import read_rollouts

FEW = ("train.steps=3", "train.checkpoint_every=3", "evaluation.every=0", "tracking.traces=0")


def test_a_replayed_run_has_the_weights_of_the_recorded_one(sdar: Sdar, trained: Trained) -> None:
    """Nothing is generated, and another objective may be tried on the same episodes."""
    path = sdar.root / "rollouts.jsonl.gz"
    start = ("--init-from", trained.run.name, *FEW)
    recorded = sdar.train("recorded", *start, f"rollout.record={path}")
    replayed = sdar.train("replayed", *start, f"rollout.replay={path}")
    assert [len(episodes) for episodes in read_rollouts(path).values()] == [6, 6, 6]
    weights, same = (load_file(run.latest_checkpoint().path / "model.safetensors") for run in (recorded, replayed))
    assert weights.keys() == same.keys() and all(torch.equal(value, same[name]) for name, value in weights.items())
    for step in steps_of(replayed):
        assert step["time/generation"] == step["time/environment"] == 0.0
    other = sdar.train("other", *start, "--method", "rlsd", f"rollout.replay={path}")
    success = [[step["rollout/success"] for step in steps_of(run)] for run in (recorded, other)]
    assert success[0] == success[1]


def test_a_recording_that_does_not_fit_is_one_sentence(sdar: Sdar, trained: Trained) -> None:
    path = sdar.root / "short.jsonl"
    start = ("--init-from", trained.run.name, *FEW)
    sdar.train("without-teacher", *start, "--method", "grpo", "train.steps=1", f"rollout.record={path}")
    about = ("train", "--recipe", "quickstart", "rollout.tasks=2", "rollout.group=3", "evaluation.tasks=6")
    done = sdar(*about, *start, f"rollout.replay={path}")
    assert "was recorded without a teacher: record it with a method that has one, or set method=grpo" in done.sentence()
    done = sdar(*about, *start, "--method", "grpo", f"rollout.replay={path}")
    assert "holds the steps 0 to 0 and not 1: set train.steps=1" in done.sentence()
    done = sdar(*about, *start, f"rollout.replay={path}.gz")
    assert "does not exist: correct rollout.replay" in done.sentence()
