"""Full-vocabulary divergences in the trainer: whose hidden states, and never more logits than a chunk's."""

from __future__ import annotations

import pytest
import torch
from tiny_training import recipe, trainer, weights

from sdar_cli.errors import RecipeError
from sdar_cli.models.load import add_lora, load_model
from sdar_cli.objectives.divergences import CHUNK
from sdar_cli.recipe.schema import Lora
from sdar_cli.training import full_vocabulary
from sdar_cli.training.full_vocabulary import UNKNOWN_SCALINGS

pytestmark = pytest.mark.train


@pytest.mark.parametrize("divergence", ["reverse", "forward", "jsd"])
def test_the_heads_never_see_more_than_a_chunk(base, tmp_path, monkeypatch, divergence):
    """A step of several hundred tokens in one micro-batch; the policy's head and the teacher's, both passes."""
    chosen = recipe(train={"steps": 1}, distill={"divergence": divergence}, rollout={"tasks": 4, "group": 16})
    made, record = trainer(base, tmp_path, chosen, groups=4, group=16)
    student: list[tuple[int, bool]] = []
    teacher: list[int] = []
    made.model.lm_head.register_forward_hook(
        lambda _, inputs, __: student.append((len(inputs[0]), inputs[0].dim() == 2))
    )
    linear = full_vocabulary.linear

    def counting(hidden, weight, bias):
        teacher.append(len(hidden))
        return linear(hidden, weight, bias)

    monkeypatch.setattr(full_vocabulary, "linear", counting)
    made.train()
    (n,) = made._tokens_seen
    assert n > 3 * CHUNK and len(made._tokens_seen) == 1
    assert all(flat for _, flat in student)
    assert max(rows for rows, _ in student) == max(teacher) == CHUNK
    assert sum(rows for rows, _ in student) == sum(teacher) == 2 * n, "once forward, once again backward"
    assert record.steps[0]["loss/distill"] > 0


@pytest.mark.parametrize("kind", ["live", "frozen", "ema"])
def test_gap_and_gate_are_those_of_the_sampled_token(base, tmp_path, kind):
    """The teacher that is scored inside the loss gives the log-probs that the scorer gives before it."""
    steps = {}
    for divergence in ("sampled", "jsd"):
        chosen = recipe(train={"steps": 1}, teacher={"kind": kind}, distill={"divergence": divergence})
        made, record = trainer(base, tmp_path / divergence, chosen)
        made.train()
        steps[divergence] = record.steps[0]
        assert record.steps[0]["time/teacher"] > 0
    for name in ("gap/mean", "gap/std", "gate/mean", "gate/active", "gap/turn_01/mean"):
        assert steps["jsd"][name] == pytest.approx(steps["sampled"][name], rel=1e-5, abs=1e-7)


def test_the_averaged_teacher_leaves_the_weights_as_they_were(base, tmp_path):
    chosen = recipe(teacher={"kind": "ema", "ema_decay": 0.5}, distill={"divergence": "reverse", "coef": 0.5})
    made, _ = trainer(base, tmp_path, chosen)
    made.train()
    made.current_gradient_accumulation_steps = 1
    before = weights(made.model)
    made.train_on(made.model, made.loop.play([]))
    assert all(torch.equal(value, before[name]) for name, value in weights(made.model).items())


def test_the_head_is_trained_by_the_divergence_alone(base, tmp_path):
    """opsd without a KL: every gradient comes from the divergence, and every weight has one, the head included."""
    chosen = recipe(method="opsd", distill={"divergence": "reverse", "coef": 1.0}, policy={"kl_coef": 0.0})
    made, _ = trainer(base, tmp_path, chosen)
    made.current_gradient_accumulation_steps = 1
    made.train_on(made.model, made.loop.play([]))
    for name, parameter in made.model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("name", UNKNOWN_SCALINGS)
def test_a_model_that_changes_its_logits_behind_the_head_is_refused(base, tmp_path, name):
    model = load_model(str(base))
    setattr(model.config, name, 2.0)
    with pytest.raises(RecipeError, match=rf"distill\.divergence=jsd .* {name}: set distill\.divergence=sampled"):
        trainer(base, tmp_path, recipe(distill={"divergence": "jsd"}), model=model)


def test_a_scaling_by_one_is_no_scaling(base, tmp_path):
    model = load_model(str(base))
    model.config.logit_scale = 1.0
    trainer(base, tmp_path, recipe(distill={"divergence": "jsd"}), model=model)


@pytest.mark.parametrize("kind", ["live", "frozen", "ema"])
def test_an_adapter_elsewhere_trains(base, tmp_path, kind):
    """Frozen is the base with the adapter off, so that the first step's gap is the skills' alone in all three."""
    lora = Lora(rank=2, alpha=4)
    chosen = recipe(
        distill={"divergence": "reverse", "coef": 0.5},
        teacher={"kind": kind},
        model={"path": "unused", "lora": lora.model_dump()},
    )
    made, record = trainer(base, tmp_path, chosen, model=add_lora(load_model(str(base)), lora, seed=0))
    made.train()
    plain, other = trainer(base, tmp_path / "plain", recipe(train={"steps": 1}))
    plain.train()
    assert record.steps[0]["gap/mean"] == pytest.approx(other.steps[0]["gap/mean"], rel=1e-5)
    assert all(step["loss/distill"] > 0 for step in record.steps)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_half_precision_and_checkpointing(base, tmp_path, checkpointing):
    about = {"path": "unused", "dtype": "bfloat16", "gradient_checkpointing": checkpointing}
    made, record = trainer(base, tmp_path, recipe(model=about, distill={"divergence": "jsd", "coef": 0.5}))
    made.train()
    exact, other = trainer(base, tmp_path / "exact", recipe(distill={"divergence": "jsd", "coef": 0.5}))
    exact.train()
    for ours, theirs in zip(record.steps, other.steps, strict=True):
        assert ours["loss/distill"] == pytest.approx(theirs["loss/distill"], rel=0.05)
