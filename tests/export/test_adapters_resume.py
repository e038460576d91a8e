"""An adapter that was stopped goes on where it was, bit by bit, with a KL term and without, over four bits too."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from exported_runs import LORA, SHORT, Runs
from safetensors.torch import load_file, save_file
from short_sdar import interrupt_after, steps_of

from sdar_cli.models.merge import load_whole
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
    assert 1 <= stopped.latest_checkpoint().step < through.state.step
    assert runs.sdar("resume", stopped.name).code == 0
    ends = [load_file(run.checkpoints()[-1].path / "adapter_model.safetensors") for run in (through, stopped)]
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())
    assert steps_of(stopped)[-1]["policy/kl"] == steps_of(through)[-1]["policy/kl"] > 0
    assert not (stopped.checkpoints()[-1].path / "ref").exists(), "which would be restored in the adapter's place"


def test_a_reference_beside_an_adapter_is_let_be(runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Checkpoints were once written with a fresh copy of the adapter in `ref/`, which is not the policy."""
    through = runs.adapted
    interrupt_after(monkeypatch, step=1)
    start = ("--model", str(runs.base), "--name", "referred")
    assert runs.sdar("train", "--recipe", "quickstart", *SHORT, *LORA, *start).code == 130
    old = RunFolder.open(runs.root / "referred")
    weights = "adapter_model.safetensors"
    for checkpoint in old.checkpoints():
        (checkpoint.path / "ref").mkdir()
        shutil.copy(checkpoint.path / "adapter_config.json", checkpoint.path / "ref")
        other = {name: torch.ones_like(tensor) for name, tensor in load_file(checkpoint.path / weights).items()}
        save_file(other, checkpoint.path / "ref" / weights, metadata={"format": "pt"})
    last = old.checkpoints()[-1].path
    assert runs.export("referred", "--adapter", "--to", str(tmp_path / "out")).code == 0
    assert not (tmp_path / "out" / "ref").exists()
    assert_equal(load_file(tmp_path / "out" / weights), load_file(last / weights))
    own = load_whole(str(last))
    shutil.copytree(last, tmp_path / "plain", ignore=shutil.ignore_patterns("ref"))
    assert_equal(dict(own.named_parameters()), dict(load_whole(str(tmp_path / "plain")).named_parameters()))
    assert runs.sdar("eval", "referred", "--tasks", "2").code == 0
    assert runs.sdar("resume", "referred").code == 0
    assert_equal(*(load_file(run.checkpoints()[-1].path / weights) for run in (through, old)))
    assert steps_of(old)[-1]["policy/kl"] == steps_of(through)[-1]["policy/kl"] > 0


def assert_equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
