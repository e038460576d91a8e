"""Moments, schedule and random states: bit for bit, without a pickle, and nothing taken of what is damaged."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_training import recipe, trainer, weights
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.training.checkpoints.optimiser_state import (
    MOMENTS,
    OPTIMISER,
    check_known,
    load_optimiser,
    save_optimiser,
)
from sdar_cli.training.checkpoints.random_states import load_random_states, save_random_states

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")


def made(seed: int = 0, **settings) -> tuple[nn.Module, AdamW, LambdaLR]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    groups = [
        {"params": [model[0].weight, model[1].weight], "weight_decay": 0.1},
        {"params": [model[0].bias, model[1].bias], "weight_decay": 0.0},
    ]
    optimiser = AdamW(groups, lr=0.1 + 1e-9, betas=(0.9, 0.95), **settings)
    return model, optimiser, LambdaLR(optimiser, lambda step: 1 / (3 + step))


def step(model: nn.Module, optimiser: AdamW, scheduler: LambdaLR) -> None:
    optimiser.zero_grad()
    model(torch.randn(5, 3)).square().sum().backward()
    model[0].bias.grad = None  # one that never had a gradient has no state
    optimiser.step()
    scheduler.step()


def saved(folder: Path, **settings) -> tuple[nn.Module, AdamW, LambdaLR]:
    kit = made(**settings)
    for _ in range(3):
        step(*kit)
    save_optimiser(folder, *kit[1:])
    save_random_states(folder / "random.json")
    return kit


@pytest.mark.parametrize("settings", [{}, {"amsgrad": True}, {"fused": True}, {"foreach": True}])
def test_bit_for_bit(tmp_path: Path, settings: dict) -> None:
    model, optimiser, scheduler = saved(tmp_path, **settings)
    random.gauss(0, 1), np.random.normal()  # leave a second value of each pair waiting
    save_random_states(tmp_path / "random.json")
    again, other, schedule = made(seed=7, **settings)
    again.load_state_dict(model.state_dict())
    load_optimiser(tmp_path, other, schedule)
    assert held(other) == held(optimiser)
    assert schedule.state_dict() == scheduler.state_dict()
    ends = []
    for kit in ((model, optimiser, scheduler), (again, other, schedule)):
        load_random_states(tmp_path / "random.json")
        draws = [random.gauss(0, 1), random.random(), np.random.normal(), np.random.rand()]
        for _ in range(3):
            step(*kit)
        ends.append((draws, [p.detach().clone() for p in kit[0].parameters()], kit[2].get_last_lr()))
    assert ends[0][0] == ends[1][0] and ends[0][2] == ends[1][2]
    assert all(torch.equal(a, b) for a, b in zip(ends[0][1], ends[1][1], strict=True))


def held(optimiser) -> dict:
    """An optimiser's state as plain data."""
    state = optimiser.state_dict()
    tensors = {n: {name: (v.dtype, v.tolist()) for name, v in own.items()} for n, own in state["state"].items()}
    return tensors | {"groups": state["param_groups"]}


def change(file: Path, **values) -> None:
    told = json.loads(file.read_text())
    for key, value in values.items():
        place, *path = told, *key.split("__")
        for part in path[:-1]:
            place = place[int(part) if part.isdecimal() else part]
        place[path[-1]] = value
    file.write_text(json.dumps(told))


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / OPTIMISER).unlink(),
        lambda folder: (folder / OPTIMISER).write_text("[" * 100_000),
        lambda folder: (folder / OPTIMISER).write_text("[]"),
        lambda folder: change(folder / OPTIMISER, format=2),
        lambda folder: change(folder / OPTIMISER, groups=[]),
        lambda folder: change(folder / OPTIMISER, groups__0__params=[0, 9]),
        lambda folder: change(folder / OPTIMISER, groups__0__lr="fast"),
        lambda folder: change(folder / OPTIMISER, groups__0__betas=[0.9]),
        lambda folder: change(folder / OPTIMISER, scheduler={}),
        lambda folder: change(folder / OPTIMISER, scheduler__base_lrs=None),
        lambda folder: (folder / MOMENTS).unlink(),
        lambda folder: (folder / MOMENTS).write_bytes((folder / MOMENTS).read_bytes()[:-7]),
        lambda folder: save_file({"0.exp_avg": torch.zeros(9)}, folder / MOMENTS),
        lambda folder: save_file({"9.exp_avg": torch.zeros(4, 3)}, folder / MOMENTS),
        lambda folder: save_file({"0.exp_avg": torch.zeros(4, 3)}, folder / MOMENTS),
        lambda folder: save_file({"weights": torch.zeros(4, 3)}, folder / MOMENTS),
    ],
)
def test_what_is_damaged_is_a_sentence_and_nothing_is_taken(tmp_path: Path, harm) -> None:
    folder = tmp_path / "step-3" / "training"
    saved(folder)
    harm(folder)
    _, optimiser, scheduler = made()
    before = held(optimiser), scheduler.state_dict()
    with pytest.raises(RunError, match=rf"move {tmp_path / 'step-3'} away, and `sdar resume` goes on from the"):
        load_optimiser(folder, optimiser, scheduler)
    assert (held(optimiser), scheduler.state_dict()) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"python": None},
        {"python": [3, [1, 2], None]},
        {"python": [3, ["x"] * 625, None]},
        {"numpy": ["MT19937", [1], 0, 0, 0.0]},
        {"numpy": ["MT19937", [2**40] * 624, 0, 0, 0.0]},
        {"torch": "zz"},
        {"torch": "00"},
        {"torch": 7},
    ],
)
def test_damaged_random_states_are_a_sentence_and_none_is_taken(tmp_path: Path, changes: dict) -> None:
    file = tmp_path / "random.json"
    save_random_states(file)
    change(file, **changes)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    with pytest.raises(RunError, match=rf"{file} cannot be used"):
        load_random_states(file)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_an_unknown_optimiser_is_refused(tmp_path: Path) -> None:
    class AdamW8bit(AdamW):
        pass

    model = nn.Linear(2, 2)
    for kind in (SGD, AdamW8bit):
        with pytest.raises(RunFailed, match=rf"the state of {kind.__name__} without pickling it.*train with AdamW"):
            check_known(kind(model.parameters(), lr=0.1))


@pytest.mark.train
def test_a_checkpoint_holds_no_pickle_and_resuming_opens_none(base, tmp_path, monkeypatch) -> None:
    """And one of before, with torch's own files, is taken as well and ends the same."""
    from contextlib import contextmanager

    import transformers.trainer
    from transformers import Trainer

    from sdar_cli.training.checkpoints.optimiser_state import PlainState

    chosen = recipe(train={"steps": 4, "checkpoint_every": 2}, optimiser={"schedule": "cosine", "warmup_ratio": 0.5})

    @contextmanager
    def into(folder: Path):
        folder.mkdir(exist_ok=True)
        yield folder

    def begun(name: str):
        one, _ = trainer(base, tmp_path / name, chosen)
        one.checkpoint = lambda number: into(tmp_path / f"{name}-{number}")
        one.checkpoint_state = dict
        return one

    through = begun("through")
    through.train()
    folder = tmp_path / "through-2"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".jinja"}
    assert not any(zipfile.is_zipfile(path) or path.read_bytes()[:1] == b"\x80" for path in files)

    names = ("_save_optimizer_and_scheduler", "_save_rng_state")
    with monkeypatch.context() as then:
        for name in names:
            then.setattr(PlainState, name, getattr(Trainer, name))
        begun("then").train()
    assert (tmp_path / "then-2" / "optimizer.pt").is_file() and not (tmp_path / "then-2" / "training").exists()

    with monkeypatch.context() as none:
        none.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("opens a pickle"))
        resumed = begun("resumed")
        resumed.loop.step = 2
        resumed.train(resume_from_checkpoint=str(folder))
    opened = []
    load = torch.load
    monkeypatch.setattr(
        transformers.trainer.torch, "load", lambda *args, **kw: opened.append(kw["weights_only"]) or load(*args, **kw)
    )
    old = begun("old")
    old.loop.step = 2
    old.train(resume_from_checkpoint=str(tmp_path / "then-2"))
    assert len(opened) >= 3 and all(opened)
    for other in (resumed, old):
        assert all(torch.equal(value, weights(other.model)[name]) for name, value in weights(through.model).items())
        assert held(through.optimizer) == held(other.optimizer)
    ends = [load_file(tmp_path / f"{name}-4" / "training" / MOMENTS) for name in ("through", "resumed")]
    assert ends[0].keys() == ends[1].keys() and all(torch.equal(v, ends[1][k]) for k, v in ends[0].items())
