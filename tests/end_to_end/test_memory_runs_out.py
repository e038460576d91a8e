"""A training whose memory runs out once: it says so, goes on with less at a time, and still does after a resumption."""

from __future__ import annotations

import json

import pytest
import torch
from short_sdar import SHORT, Sdar, Trained, interrupt_after, steps_of

from sdar_cli.runs.store import RunFolder
from sdar_cli.training.update import Update

pytestmark = pytest.mark.long

WORDS = (
    *("train", "--recipe", "quickstart", *SHORT, "--init-from", "first", "--name", "tight"),
    *("train.steps=4", "train.checkpoint_every=2", "evaluation.every=0", "evaluation.tasks=2", "tracking.traces=0"),
)
NOTE = "note: memory ran out in an update, which is made anew: from here on at most "


def test_the_budget_survives_a_resume(sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    own, limits = Update._backward, []

    def limited(self: Update, model, rows, batches, scores):
        """The second update is too large, once."""
        limits.append(self.trainer.memory.limit("update"))
        if len(limits) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(self, model, rows, batches, scores)

    monkeypatch.setattr(Update, "_backward", limited)
    with pytest.MonkeyPatch.context() as once:
        interrupt_after(once, step=3)
        begun = sdar(*WORDS)
    assert begun.code == 130 and begun.err.count(NOTE) == 1, begun.err
    run = RunFolder.open(sdar.root / "tight")
    kept = json.loads((run.checkpoint(2).path / "sdar.json").read_text(encoding="utf-8"))
    limit = kept["memory"]["update"]
    assert f"{NOTE}{limit} tokens in a micro-batch" in begun.err and limits == [16384, 16384, limit, limit]
    done = sdar("resume", "tight")
    assert done.code == 0 and NOTE not in done.err, done.err
    assert len(steps_of(run)) == 4 and set(limits[2:]) == {limit} and len(limits) > 4


def test_in_the_optimisers_step_nothing_half_updated_is_kept(
    sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdamW changes weights in place before it takes its last piece of memory."""
    own, steps = torch.optim.AdamW.step, []

    def limited(self: torch.optim.AdamW, *args, **kwargs):
        steps.append(own(self, *args, **kwargs))
        if len(steps) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return steps[-1]

    words = [word if word != "tight" else "half-updated" for word in WORDS]
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", limited)
        failed = sdar(*words)
    assert failed.code == 1 and len(steps) == 4, failed.err
    run = RunFolder.open(sdar.root / "half-updated")
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [2], "the one that was due, and no other"
    whole = sdar.train("never-tight", *[word for word in WORDS[5:] if word not in ("--name", "tight")])
    assert sdar("resume", "half-updated").code == 0

    def weights(one: RunFolder) -> bytes:
        return (one.checkpoint(4).path / "model.safetensors").read_bytes()

    assert weights(run) == weights(whole)
