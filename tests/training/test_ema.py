"""The averaged teacher: by hand, put in place and back, saved, and the same after a resume."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import save_file
from tiny_training import recipe, trainer, weights
from torch import nn
from transformers import TrainerCallback

from sdar_cli.errors import RunError
from sdar_cli.models.load import add_lora, load_model
from sdar_cli.recipe.schema import Lora
from sdar_cli.training.ema import FILE, MovingAverage


def model(dtype=torch.float32, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    made[0].bias.requires_grad_(False)
    return made.to(dtype)


def drift(made: nn.Module) -> None:
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 1.0])
def test_the_average_by_hand(decay):
    made = model()
    average = MovingAverage(made, decay)
    expected = {name: p.detach().double() for name, p in made.named_parameters() if p.requires_grad}
    assert average.average.keys() == expected.keys() == {"0.weight", "1.weight", "1.bias"}
    for _ in range(7):
        drift(made)
        average.update()
        expected = {n: decay * value + (1 - decay) * made.get_parameter(n).double() for n, value in expected.items()}
    for name, value in expected.items():
        torch.testing.assert_close(average.average[name].double(), value, rtol=1e-5, atol=1e-6)
    if decay == 0.0:
        assert all(torch.equal(value, made.get_parameter(n)) for n, value in average.average.items())


def test_a_slow_average_of_half_precision_weights_moves():
    """In bfloat16 a step of 0.01 · (1.01 − 1) would be rounded away; the average is float32."""
    made = model(torch.bfloat16)
    with torch.no_grad():
        made[1].weight.fill_(1.0)
    average = MovingAverage(made, 0.99)
    with torch.no_grad():
        made[1].weight.fill_(1.0078125)
    for _ in range(10):
        average.update()
    value = average.average["1.weight"]
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, torch.full_like(value, 1.0078125 - 0.0078125 * 0.99**10), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("fails", [False, True])
def test_in_place_the_averages_stand_and_then_the_weights_bit_for_bit(dtype, fails):
    made = model(dtype)
    average = MovingAverage(made, 0.9)
    drift(made)
    with torch.no_grad():
        made[1].weight[0, 0] = float("nan")
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    storage = {name: p.data_ptr() for name, p in made.named_parameters()}

    def use() -> None:
        with average.in_place():
            for name, value in average.average.items():
                assert torch.equal(made.get_parameter(name), value.to(dtype)), name
            assert torch.equal(made[0].bias, before["0.bias"])
            if fails:
                raise RuntimeError("inside")

    if fails:
        with pytest.raises(RuntimeError, match="inside"):
            use()
    else:
        use()
    for name, parameter in made.named_parameters():
        assert torch.equal(parameter.isnan(), before[name].isnan())
        assert torch.equal(parameter.nan_to_num(), before[name].nan_to_num()), name
        assert parameter.data_ptr() == storage[name] and parameter.requires_grad is (name != "0.bias")


def test_saved_and_loaded_it_is_the_same(tmp_path):
    made = model()
    average = MovingAverage(made, 0.9)
    drift(made)
    average.update()
    average.save(tmp_path)
    again = MovingAverage(model(seed=3), 0.9)
    again.load(tmp_path)
    assert all(torch.equal(value, again.average[name]) for name, value in average.average.items())


def test_a_checkpoint_without_the_average_is_refused(tmp_path):
    with pytest.raises(RunError, match=rf"has no {FILE}, which teacher\.kind=ema needs: start a new run"):
        MovingAverage(model(), 0.9).load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"weights", (9).to_bytes(8, "little") + b'{"a": []}'])
def test_a_damaged_average_is_a_sentence(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RunError, match=rf"{FILE} cannot be used \(SafetensorError.*move {tmp_path} away"):
        MovingAverage(model(), 0.9).load(tmp_path)


@pytest.mark.parametrize("change", ["name", "shape"])
def test_an_average_of_other_weights_is_refused(tmp_path, change):
    stored = {name: value.clone() for name, value in MovingAverage(model(), 0.9).average.items()}
    if change == "name":
        stored["2.weight"] = stored.pop("1.weight")
    else:
        stored["1.weight"] = torch.zeros(9, 9)
    save_file(stored, tmp_path / FILE)
    with pytest.raises(RunError, match="holds other weights than the model trains: start a new run"):
        MovingAverage(model(), 0.9).load(tmp_path)


@pytest.mark.train
def test_it_follows_every_optimiser_update_and_no_other(base, tmp_path):
    """Four updates a rollout: three are ours, the last is Hugging Face's loop's."""
    chosen = recipe(teacher={"kind": "ema", "ema_decay": 0.8}, optimiser={"rows_per_update": 4}, train={"steps": 2})
    made, record = trainer(base, tmp_path, chosen)
    made.create_optimizer()
    expected = {name: value.double() for name, value in weights(made.model).items()}
    updates = 0

    def after_step(*_):
        nonlocal expected, updates
        updates += 1
        expected = {n: 0.8 * v + 0.2 * made.model.get_parameter(n).detach().double() for n, v in expected.items()}

    made.optimizer.register_step_post_hook(after_step)
    made.train()
    assert updates == sum(step["optim/updates"] for step in record.steps) > 6
    for name, value in expected.items():
        torch.testing.assert_close(made.average.average[name].double(), value, rtol=1e-5, atol=1e-6)


@pytest.mark.train
def test_with_an_adapter_only_the_adapter_is_averaged(base, tmp_path):
    lora = Lora(rank=2, alpha=4)
    chosen = recipe(teacher={"kind": "ema"}, model={"path": "unused", "lora": lora.model_dump()})
    made, record = trainer(base, tmp_path, chosen, model=add_lora(load_model(str(base)), lora, seed=0))
    made.train()
    assert made.average.average and all("lora" in name for name in made.average.average)
    assert all("gap/mean" in step for step in record.steps)


class StopAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self.step
        return control


@pytest.mark.train
@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": {"kind": "ema", "ema_decay": 0.8}, "distill": {"coef": 0.5}},
        {
            "teacher": {"kind": "ema", "ema_decay": 0.8},
            "distill": {"coef": 0.5, "divergence": "reverse"},
            "optimiser": {"rows_per_update": 6},
        },
        {"method": "rlsd", "credit": {"mu": 0.5, "schedule": {"to": 0.0, "steps": 4}}},
    ],
    ids=["ema", "ema, full vocabulary, several updates", "a schedule"],
)
def test_a_resumed_run_is_the_undisturbed_one(base, tmp_path, changes):
    chosen = recipe(train={"steps": 4, "checkpoint_every": 2}, **changes)

    @contextmanager
    def saving(step):
        folder = tmp_path / f"kept-{step}"
        folder.mkdir()
        yield folder

    whole, straight = trainer(base, tmp_path / "whole", chosen)
    whole.train()
    first, _ = trainer(base, tmp_path / "first", chosen)
    first.checkpoint = saving
    first.add_callback(StopAfter(2))
    first.train()
    assert first.state.global_step == 2
    second, resumed = trainer(base, tmp_path / "second", chosen)
    second.loop.step = 2
    if second.average is not None:
        second.average.load(tmp_path / "kept-2")
    second.train(resume_from_checkpoint=str(tmp_path / "kept-2"))
    assert [step["loss/total"] for step in resumed.steps] == [step["loss/total"] for step in straight.steps[2:]]
    for name, value in weights(whole.model).items():
        assert torch.equal(value, weights(second.model)[name]), name
    if whole.average is not None:
        for name, value in whole.average.average.items():
            assert torch.equal(value, second.average.average[name]), name
