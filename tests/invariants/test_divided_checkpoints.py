"""Checkpoints of runs whose weights lie in parts on their ranks, by FSDP2 and by DeepSpeed's ZeRO-3, through the CLI.

1. A run whose ranks were killed, or stopped by a signal, and that as many went on with is the undisturbed one: every
   byte of weights, moments, schedule and random states, full and with an adapter and an averaged teacher.
2. Three ranks go on with a run of two, and two with that: metrics and weights agree but for rounding.
3. No file of a checkpoint is a pickle or an archive of pickles, and resuming opens none.
4. A checkpoint of before, in accelerate's or DeepSpeed's format, is read as tensors alone, and the run ends the same.
"""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from same_run_kit import LORA, SPREAD, STEPS, Runs, differences, in_ranks, make_base, needs_deepspeed

from sdar_cli.training.checkpoints.divided_zero3 import tensors_alone

COSINE = ("optimiser.schedule=cosine",)
STOPPED = {"signal": [0, 0]}


@pytest.fixture(scope="module", params=["fsdp2", pytest.param("zero3", marks=needs_deepspeed)])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root = tmp_path_factory.mktemp(f"divided-{request.param}")
    make_base(root)
    made = Runs(root)
    divided = ("--dist", request.param)

    def command(name: str, *overrides: str) -> dict:
        return made.command(name, *divided, *COSINE, *overrides)

    def resume(name: str) -> dict:
        return made.resume(name, *divided)

    _, said = in_ranks(root, [command("killed", *SPREAD) | {"kill": [1, 2]}], killed=True)
    assert "SIGKILL" in said, said[-3000:]
    commands = [
        (command("through", *SPREAD), 0),
        (resume("killed"), 0),
        (command("lora", *LORA), 0),
        (command("lora-stopped", *LORA) | STOPPED, 143),
        (resume("lora-stopped"), 0),
        (command("old", *SPREAD) | STOPPED | {"old": True}, 143),
        (resume("old") | {"opens": True}, 0),
        (command("other", *SPREAD) | STOPPED, 143),
    ]
    codes, said = in_ranks(root, [one for one, _ in commands])
    assert codes == [[code for _, code in commands]] * 2, said[-6000:]
    codes, said = in_ranks(root, [resume("other") | {"signal": [2, 1]}], 3)
    assert codes == [[143]] * 3 and "of 2 processes and 3 go on" in said, said[-6000:]
    codes, said = in_ranks(root, [resume("other")])
    assert codes == [[0]] * 2 and "of 3 processes and 2 go on" in said, said[-6000:]
    return made


def files(runs: Runs, name: str, step: int = STEPS) -> dict[str, bytes]:
    folder = runs.folder(name).checkpoint(step).path
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("one", "other"), [("killed", "through"), ("lora-stopped", "lora"), ("old", "through")])
def test_as_many_ranks_end_with_the_same_bytes(runs: Runs, one: str, other: str) -> None:
    ours, theirs = files(runs, one), files(runs, other)
    assert ours.keys() == theirs.keys()
    assert [name for name in theirs if ours[name] != theirs[name]] == []
    assert {"training/parameters-0001.safetensors", "training/random-0.json", "training/random-1.json"} <= ours.keys()


def test_other_numbers_of_ranks_go_on(runs: Runs) -> None:
    assert not differences(runs, "other", "through", relative=1e-5 if "zero3" in runs.root.name else 1e-6)
    told = [json.loads(files(runs, "other", step)["sdar.json"])["processes"] for step in (2, 3)]
    assert told == [3, 2]


@needs_deepspeed
def test_deepspeeds_own_format_runs_no_code(tmp_path: Path) -> None:
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

    own = TorchCheckpointEngine.load
    torch.save({"module": {"weight": torch.ones(2)}, "optimizer": Code(tmp_path / "ran")}, tmp_path / "state.pt")
    with tensors_alone(), pytest.raises(pickle.UnpicklingError):
        TorchCheckpointEngine().load(str(tmp_path / "state.pt"))
    assert TorchCheckpointEngine.load is own and not (tmp_path / "ran").exists()
    torch.load(tmp_path / "state.pt", weights_only=False)
    assert (tmp_path / "ran").exists()


class Code:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self._folder),)


@pytest.mark.parametrize("name", ["through", "lora", "other"])
def test_no_file_of_a_checkpoint_is_a_pickle(runs: Runs, name: str) -> None:
    folder: Path = runs.folder(name).checkpoint(STEPS).path
    assert {Path(file).suffix for file in files(runs, name)} <= {".json", ".safetensors", ".jinja", ".md"}
    for path in filter(os.path.isfile, folder.rglob("*")):
        assert not zipfile.is_zipfile(path), path
        if path.suffix == ".safetensors":
            load_file(path)  # whose first bytes are a length, and may look like anything
        else:
            assert not is_pickle(path.read_bytes()), path


def is_pickle(content: bytes) -> bool:
    try:
        return any(code.name == "STOP" for code, *_ in pickletools.genops(content))
    except Exception:
        return False
