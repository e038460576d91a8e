"""An adapter that was stopped goes on where it was, bit by bit, with a KL term and without, over four bits too."""

from __future__ import annotations

import pytest
import torch
from exported_runs import LORA, SHORT, Runs
from safetensors.torch import load_file
from short_sdar import interrupt_after, steps_of

from sdar_cli.runs.store import RunFolder


@pytest.mark.parametrize("bits", [32, 4])
def test_resuming_is_bit_identical(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, bits: int
) -> None:
    words, name = LORA, "adapted"
    if bits == 4:
        request.getfixturevalue("four_bits")
        words, name = (*LORA, "model.lora.quantise=nf4"), "four"
    through = runs.train(name, *words)
    interrupt_after(monkeypatch, step=1)
    start = ("--model", str(runs.base), "--name", f"stopped-{bits}")
    assert runs.sdar("train", "--recipe", "quickstart", *SHORT, *words, *start).code == 130
    stopped = RunFolder.open(runs.root / f"stopped-{bits}")
    assert stopped.state.step == 2
    assert runs.sdar("resume", stopped.name).code == 0
    ends = [load_file(run.checkpoints()[-1].path / "adapter_model.safetensors") for run in (through, stopped)]
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())
    assert steps_of(stopped)[-1]["policy/kl"] == steps_of(through)[-1]["policy/kl"] > 0
    assert not (stopped.checkpoints()[-1].path / "ref").exists(), "which would be restored in the adapter's place"
