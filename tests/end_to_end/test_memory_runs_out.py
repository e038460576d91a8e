"""A training whose memory runs out once: it says so, goes on with less at a time, and still does after a resumption."""

from __future__ import annotations

import json

import pytest
import torch
from short_sdar import SHORT, Sdar, Trained, interrupt_after, steps_of

from sdar_cli.runs.store import RunFolder
from sdar_cli.training import trainer as trainer_module

WORDS = (
    *("train", "--recipe", "quickstart", *SHORT, "--init-from", "first", "--name", "tight"),
    *("train.steps=4", "train.checkpoint_every=2", "evaluation.every=0", "evaluation.tasks=2", "tracking.traces=0"),
)
NOTE = "note: memory ran out in an update, which is made anew: from here on at most "


def test_the_budget_survives_a_resume(sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    score, sizes, room = trainer_module.score, [], [0]

    def limited(model, tight, **about):
        """The device holds a little less than the second update's first micro-batch takes."""
        sizes.append(tight.slots)
        if len(sizes) == 2:
            room[0] = tight.slots - 1
        if room[0] and tight.slots > room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score(model, tight, **about)

    monkeypatch.setattr(trainer_module, "score", limited)
    with pytest.MonkeyPatch.context() as once:
        interrupt_after(once, step=3)
        begun = sdar(*WORDS)
    assert begun.code == 130 and begun.err.count(NOTE) == 1, begun.err
    run = RunFolder.open(sdar.root / "tight")
    kept = json.loads((run.checkpoint(2).path / "sdar.json").read_text(encoding="utf-8"))
    limit = kept["memory"]["update"]
    assert f"{NOTE}{limit} tokens in a micro-batch" in begun.err and limit <= room[0]
    before = len(sizes)
    done = sdar("resume", "tight")
    assert done.code == 0 and NOTE not in done.err, done.err
    assert len(steps_of(run)) == 4 and max(sizes[before:]) <= limit
