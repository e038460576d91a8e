"""Weights and moments that lie in parts: whole in the checkpoint, bit for bit on any number of ranks, no pickles."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_optimiser_state import change, held, made, step
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from sdar_cli.errors import RunError
from sdar_cli.training.checkpoints.divided_file import TensorReader, TensorWriter
from sdar_cli.training.checkpoints.divided_fsdp2 import Fsdp2Parts
from sdar_cli.training.checkpoints.divided_state import OPTIMISER, load_divided, save_divided
from sdar_cli.training.checkpoints.divided_zero3 import Zero3Parts

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
FILE = "parameters-0001.safetensors"


def begun(seed: int = 0, steps: int = 3, **settings):
    kit = made(seed, **settings)
    for _ in range(steps):
        step(*kit)
    return kit


def parts(kit) -> Fsdp2Parts:
    return Fsdp2Parts(*kit[:2])


def saved(folder: Path, **settings):
    kit = begun(**settings)
    save_divided(folder, parts(kit), kit[2])
    return kit


@pytest.mark.parametrize("settings", [{}, {"amsgrad": True}, {"fused": True}, {"foreach": True}])
@pytest.mark.parametrize("limit", [1, 100, 2**30])
def test_bit_for_bit_in_files_of_any_size(tmp_path: Path, settings: dict, limit: int) -> None:
    kit = begun(**settings)
    save_divided(tmp_path, parts(kit), kit[2], limit)
    files = list(tmp_path.glob("parameters-*.safetensors"))
    assert len(files) == {1: sum(len(load_file(file)) for file in files), 2**30: 1}.get(limit, len(files))
    assert limit < 100 or all(file.stat().st_size < limit + 2000 for file in files)
    again = begun(seed=7, steps=0, **settings)
    load_divided(tmp_path, parts(again), again[2])
    assert held(again[1]) == held(kit[1]) and again[2].state_dict() == kit[2].state_dict()
    for one in (kit, again):
        torch.manual_seed(1)
        step(*one)
    assert all(torch.equal(a, b) for a, b in zip(kit[0].parameters(), again[0].parameters(), strict=True))


@pytest.fixture
def rank_of_three() -> Iterator[int]:
    """A process that believes to be the second of three, with nobody to talk to: who waited would wait for ever."""
    distributed.init_process_group("fake", store=FakeStore(), rank=1, world_size=3)
    yield 1
    distributed.destroy_process_group()


def test_a_rank_keeps_its_rows_of_what_others_wrote(tmp_path: Path, rank_of_three: int, monkeypatch) -> None:
    monkeypatch.setattr("sdar_cli.training.ranks.world", lambda: 1)
    whole = saved(tmp_path)
    kit = begun(seed=7, steps=0)
    mesh = init_device_mesh("cpu", (3,))
    for layer in kit[0]:
        fully_shard(layer, mesh=mesh)
    optimiser = torch.optim.AdamW(
        [
            {"params": [kit[0][0].weight, kit[0][1].weight], "weight_decay": 0.1},
            {"params": [kit[0][0].bias, kit[0][1].bias], "weight_decay": 0.0},
        ],
        lr=0.1,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)
    load_divided(tmp_path, Fsdp2Parts(kit[0], optimiser), schedule)
    for (name, mine), theirs in zip(kit[0].named_parameters(), whole[0].parameters(), strict=True):
        rows = theirs.chunk(3)[rank_of_three : rank_of_three + 1]  # of two rows the third rank has none
        assert torch.equal(mine.to_local(), torch.cat(rows) if rows else theirs[:0]), name
        state = whole[1].state.get(theirs)
        if state:
            own = optimiser.state[mine]
            assert own["step"] == state["step"]
            for kind in ("exp_avg", "exp_avg_sq"):
                assert torch.equal(own[kind].to_local(), state[kind].chunk(3)[rank_of_three])
                assert own[kind].shape == state[kind].shape
    assert optimiser.param_groups[0]["lr"] == whole[1].param_groups[0]["lr"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / OPTIMISER).unlink(),
        lambda folder: (folder / OPTIMISER).write_text("[" * 100_000),
        lambda folder: (folder / OPTIMISER).write_text("[]"),
        lambda folder: change(folder / OPTIMISER, format=1),
        lambda folder: change(folder / OPTIMISER, groups=[]),
        lambda folder: change(folder / OPTIMISER, groups__0__params=["0.weight", "9.weight"]),
        lambda folder: change(folder / OPTIMISER, groups__0__lr="fast"),
        lambda folder: change(folder / OPTIMISER, scheduler={}),
        lambda folder: change(folder / OPTIMISER, counters={"global_steps": 1}),
        lambda folder: (folder / FILE).unlink(),
        lambda folder: (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-7]),
        lambda folder: (folder / FILE).write_bytes(b"\x80\x04."),
        lambda folder: again(folder, "1.weight:weight"),
        lambda folder: again(folder, "1.weight:exp_avg"),
        lambda folder: again(folder, **{"1.weight:exp_avg": torch.zeros(4, 2)}),
        lambda folder: again(folder, **{"1.weight:step": torch.zeros(1)}),
        lambda folder: again(folder, **{"1.weight:momentum": torch.zeros(2, 4)}),
        lambda folder: again(folder, **{"9.weight:weight": torch.zeros(2, 4)}),
        lambda folder: again(folder, weight=torch.zeros(2, 4)),
        lambda folder: again(folder, **{"ghost:step": torch.tensor(1.0)}),
        lambda folder: again(folder, **{"1.weight:weight": torch.zeros(2, 4, dtype=torch.bfloat16)}),
        lambda folder: again(folder, **{"1.weight:exp_avg": torch.zeros(2, 4, dtype=torch.int8)}),
        lambda folder: again(folder, **{"1.weight:step": torch.tensor(True)}),
        lambda folder: again(folder, "1.weight:step", "1.weight:exp_avg", "1.weight:exp_avg_sq"),
        lambda folder: again(folder, **moments("0.bias", torch.zeros(4))),
        lambda folder: change(folder / OPTIMISER, stepped=None),
        lambda folder: change(folder / OPTIMISER, stepped=[["0.weight"]]),
        lambda folder: change(folder / OPTIMISER, stepped=["0.weight", "1.weight", "1.bias", "9.weight"]),
        lambda folder: change(folder / OPTIMISER, stepped=["0.weight", "1.weight"]),
        lambda folder: save_file({"1.weight:weight": torch.zeros(2, 4)}, folder / "parameters-0002.safetensors"),
        lambda folder: os.mkfifo(folder / "parameters-0002.safetensors"),
    ],
)
def test_what_is_damaged_is_a_sentence_and_nothing_is_taken(tmp_path: Path, harm) -> None:
    folder = tmp_path / "step-3" / "training"
    saved(folder)
    harm(folder)
    kit = begun(seed=7, steps=0)
    before = held(kit[1]), [p.tolist() for p in kit[0].parameters()], kit[2].state_dict()
    with pytest.raises(RunError, match=rf"move {tmp_path / 'step-3'} away, and `sdar resume` goes on from the"):
        load_divided(folder, parts(kit), kit[2])
    assert (held(kit[1]), [p.tolist() for p in kit[0].parameters()], kit[2].state_dict()) == before


def again(folder: Path, *drop: str, **tensors: torch.Tensor) -> None:
    """Write the file anew, with other tensors in it."""
    there = {name: value for name, value in load_file(folder / FILE).items() if name not in drop}
    save_file(there | tensors, folder / FILE)


def moments(name: str, like: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"{name}:step": torch.tensor(3.0), f"{name}:exp_avg": like, f"{name}:exp_avg_sq": like.clone()}


def test_no_more_than_a_file_is_held(tmp_path: Path) -> None:
    writer = TensorWriter(tmp_path, limit=100)
    wanted = {("a.weight", "weight"): torch.arange(9.0), ("a.weight", "step"): torch.tensor(3.0)}
    wanted |= {(f"b:{n}", "weight"): torch.full((20,), float(n)) for n in range(3)}
    for (name, kind), value in wanted.items():
        writer.add(name, kind, value)
        assert sum(one.nbytes for one in writer._held.values()) <= 100
    writer.flush()
    writer.flush()
    reader = TensorReader(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"parameters-000{n}.safetensors" for n in (1, 2, 3, 4)]
    assert all(torch.equal(reader.read(*key), value) for key, value in wanted.items())
    assert reader.kinds["a.weight"] == {"weight", "step"} and len(reader.shapes) == len(wanted)


def test_what_an_optimiser_says_is_plain_text(tmp_path: Path) -> None:
    saved(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    told = json.loads((tmp_path / OPTIMISER).read_text())
    assert [group["params"] for group in told["groups"]] == [["0.weight", "1.weight"], ["0.bias", "1.bias"]]
    assert set(load_file(tmp_path / FILE)) >= {"0.weight:weight", "0.weight:exp_avg", "0.bias:weight"}


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_deepspeeds_flat_groups_take_their_parts(tmp_path: Path, world: int) -> None:
    """Each rank what is its own of every parameter, and zeros behind the parameter's end."""
    whole = saved(tmp_path)
    names = dict(whole[0].named_parameters())
    ranks = [Zero3Parts(engine_of_rank(rank, world)) for rank in range(world)]
    tensors = TensorReader(tmp_path)
    for name, kind in tensors.shapes:
        for parts_of_rank in ranks:
            parts_of_rank.put(name, kind, tensors.read(name, kind))
    for name, parameter in names.items():
        assert all(one.shapes()[name] == parameter.shape for one in ranks)
        for kind, wanted in {"weight": parameter.detach(), **whole[1].state.get(parameter, {})}.items():
            if kind == "step":
                continue
            own = [one.part(name, kind) for one in ranks]
            assert len({len(part) for part in own}) == 1
            put_together = torch.cat(own)
            assert torch.equal(put_together[: wanted.numel()].view(wanted.shape), wanted), (name, kind)
            assert not put_together[wanted.numel() :].any()


def engine_of_rank(rank: int, world: int) -> SimpleNamespace:
    """What of a DeepSpeed engine a rank's parts are asked of; places are filled with what nobody wrote."""
    model, optimiser, _ = begun(seed=7, steps=0)
    groups, flats, places = [], [], {}
    for group in optimiser.param_groups:
        length = 0
        for parameter in group["params"]:
            parameter.ds_shape = parameter.shape
            own = math.ceil(parameter.numel() / world)
            places[id(parameter)] = len(groups), length, own
            length += own
        groups.append(group["params"])
        flats.append(torch.full((length,), 77.0))
    zero = SimpleNamespace(
        optimizer=optimiser,
        fp16_groups=groups,
        fp32_partitioned_groups_flat=flats,
        sub_group_to_group_id={0: 0, 1: 1},
        grad_position=places,
        get_param_id=id,
        _get_param_partition_rank=lambda parameter: rank,
    )
    return SimpleNamespace(optimizer=zero, module=model)
