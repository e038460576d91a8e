"""Settings that are the same method must train bit for bit alike: three steps on the same rollouts.

1. λ = 0 is ``grpo``, for every method with a term;
2. μ = 0 is ``grpo``, for both methods that redistribute the advantage;
3. ``sdar`` with β = 0 at λ is gate ``none`` at λ/2 is ``grpo_opsd`` (uniform) at λ;
4. ``skill_grpo`` is ``grpo`` on the same prompts;
5. a schedule that begins and ends at a value is that value.

Losses are equal numbers and weights equal bits. Do not loosen these.
"""

from __future__ import annotations

import pytest
import torch
from tiny_training import recipe, trainer, weights

pytestmark = pytest.mark.train

SHAPES = {
    "one update": {},
    "several updates": {"optimiser": {"rows_per_update": 6, "tokens_per_microbatch": 90}},
    "full context": {"rollout": {"context": "full"}},
    "turn statistics": {"policy": {"advantage": "turn", "clip": 0.01, "dual_clip": 1.02, "entropy_coef": 0.01}},
}


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """(changes to the recipe) → losses, weights; each trained once."""
    known: dict[str, tuple] = {}

    def run(changes: dict) -> tuple[list[float], list[dict], dict]:
        if repr(changes) not in known:
            made, record = trainer(base, tmp_path_factory.mktemp("run"), recipe(**changes))
            made.train()
            known[repr(changes)] = ([step["loss/total"] for step in record.steps], record.steps, weights(made.model))
        return known[repr(changes)]

    return run


def assert_same(one, other) -> None:
    assert len(one[0]) == 3 and len(set(one[0])) == 3, "three different steps, or there is nothing to compare"
    assert one[0] == other[0]
    for name in ("optim/grad_norm", "loss/policy", "policy/kl", "policy/entropy"):
        assert [step[name] for step in one[1]] == [step[name] for step in other[1]], name
    for name, value in one[2].items():
        assert torch.equal(value, other[2][name]), name


NOTHING = {
    "sdar": {"method": "sdar", "distill": {"coef": 0.0}},
    "uniform": {"method": "grpo_opsd", "distill": {"coef": 0.0}},
    "signed": {"method": "grpo_opsd", "distill": {"coef": 0.0, "form": "signed"}},
    "skill_sd": {"method": "skill_sd", "distill": {"coef": 0.0}},
    "reverse ema": {"method": "sdar", "distill": {"coef": 0.0, "divergence": "reverse"}, "teacher": {"kind": "ema"}},
    "rlsd": {"method": "rlsd", "credit": {"mu": 0.0}},
    "agent_opsd": {"method": "agent_opsd", "credit": {"mu": 0.0}},
    "skill_grpo": {"method": "skill_grpo"},
}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *((name, shape) for name in NOTHING for shape in ("one update", "several updates")),
        *((name, shape) for name in ("sdar", "rlsd") for shape in ("full context", "turn statistics")),
    ],
)
def test_a_coefficient_of_zero_is_grpo(trained, name, shape):
    grpo, other = trained({"method": "grpo", **SHAPES[shape]}), trained({**NOTHING[name], **SHAPES[shape]})
    assert_same(grpo, other)
    assert all(step["teacher/active"] == 0.0 and "time/teacher" in step for step in other[1])


@pytest.mark.parametrize("shape", ["one update", "several updates"])
def test_beta_zero_is_no_gate_at_half_is_uniform(trained, shape):
    beta_zero = trained({"distill": {"coef": 0.3}, "gate": {"beta": 0.0}, **SHAPES[shape]})
    no_gate = trained({"distill": {"coef": 0.15}, "gate": {"kind": "none"}, **SHAPES[shape]})
    uniform = trained({"method": "grpo_opsd", "distill": {"coef": 0.3}, **SHAPES[shape]})
    assert_same(beta_zero, no_gate)
    assert_same(beta_zero, uniform)
    losses = [[step["loss/distill"] for step in run[1]] for run in (beta_zero, no_gate, uniform)]
    assert losses[0] == losses[1] == losses[2] and all(losses[0])


@pytest.mark.parametrize(
    ("constant", "scheduled"),
    [
        ({"distill": {"coef": 0.3}}, {"distill": {"coef": 0.3, "schedule": {"to": 0.3, "steps": 2}}}),
        ({"gate": {"beta": 3.0}}, {"gate": {"beta": 3.0, "schedule": {"to": 3.0, "steps": 7, "shape": "cosine"}}}),
        (
            {"method": "rlsd", "credit": {"mu": 0.5}},
            {"method": "rlsd", "credit": {"mu": 0.5, "schedule": {"to": 0.5, "steps": 3}}},
        ),
    ],
    ids=["coef", "beta", "mu"],
)
def test_a_schedule_from_a_value_to_itself_is_that_value(trained, constant, scheduled):
    assert_same(trained(constant), trained(scheduled))


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "sdar", "distill": {"coef": 1e-3}},
        {"method": "grpo_opsd", "distill": {"coef": 1e-3}},
        {"method": "grpo_opsd", "distill": {"coef": 1e-3, "form": "signed"}},
        {"method": "skill_sd", "distill": {"coef": 1e-3}},
        {"method": "rlsd", "credit": {"mu": 0.01}},
        {"method": "agent_opsd", "credit": {"mu": 0.01}},
        {"method": "rloo"},
        {"method": "reinforce"},
        {"method": "ppo_kl"},
        {"method": "opsd"},
    ],
    ids=lambda changes: "-".join([changes["method"], str(changes.get("distill", {}).get("form", ""))]).strip("-"),
)
def test_with_an_effect_the_weights_differ(trained, changes):
    """The control: the tests above would see a term that leaked in."""
    grpo, other = trained({"method": "grpo"}), trained(changes)
    assert any(not torch.equal(value, other[2][name]) for name, value in grpo[2].items())


def test_a_schedule_that_reaches_zero_ends_as_grpo(base, tmp_path):
    """Steps after the end are GRPO's own from the weights they start at, teacher and term gone."""
    chosen = recipe(distill={"coef": 0.5, "schedule": {"to": 0.0, "steps": 2}})
    made, record = trainer(base, tmp_path, chosen)
    made.train()
    assert [step["distill/coef"] for step in record.steps] == [0.5, 0.25, 0.0]
    assert [step["teacher/active"] for step in record.steps] == [1.0, 1.0, 0.0]
    assert [step["loss/distill"] == 0.0 for step in record.steps] == [False, False, True]
    assert record.steps[2]["time/teacher"] == 0.0 and "gap/mean" not in record.steps[2]
