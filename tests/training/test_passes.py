"""Nothing is computed that is not needed: forward passes of every method, counted by hooks.

student     the loss's own, with a gradient
policy      of the policy without a gradient: a live or averaged teacher, or the rollout-time student
reference   of the weights that RL starts from

Passes of the same weights before the update are one. These rows are too few for beginnings of their own.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from tiny_training import recipe, trainer

pytestmark = pytest.mark.train

S = "student"
P = "policy"
R = "reference"
SPREAD = {"optimiser": {"rows_per_update": 4}}
"""Four updates of the first step's 15 rows."""
NO_KL = {"policy": {"kl_coef": 0.0}}

CASES: dict[str, tuple[dict, dict[str, int]]] = {
    "grpo": ({"method": "grpo"}, {S: 1, R: 1}),
    "grpo without kl": ({"method": "grpo", **NO_KL}, {S: 1}),
    "grpo spread": ({"method": "grpo", **SPREAD}, {S: 4, P: 1, R: 1}),
    "skill_grpo": ({"method": "skill_grpo"}, {S: 1, R: 1}),
    "sdar": ({}, {S: 1, P: 1, R: 1}),
    "sdar without kl": (NO_KL, {S: 1, P: 1}),
    "sdar at λ = 0": ({"distill": {"coef": 0.0}}, {S: 1, R: 1}),
    "sdar at λ = 0, full vocabulary": ({"distill": {"coef": 0.0, "divergence": "jsd"}}, {S: 1, R: 1}),
    "sdar spread": (SPREAD, {S: 4, P: 1, R: 1}),
    "entropy gate": ({"gate": {"kind": "entropy"}}, {S: 1, P: 1, R: 1}),
    "zscore": ({"gate": {"normalise": "zscore"}}, {S: 1, P: 1, R: 1}),
    "zscore that no gate sees": ({"gate": {"kind": "none", "normalise": "zscore"}}, {S: 1, P: 1, R: 1}),
    "turn_mean": ({"gate": {"normalise": "turn_mean"}}, {S: 1, P: 1, R: 1}),
    "frozen": ({"teacher": {"kind": "frozen"}}, {S: 1, R: 1}),
    "frozen without kl": ({"teacher": {"kind": "frozen"}, **NO_KL}, {S: 1, R: 1}),
    "ema": ({"teacher": {"kind": "ema"}}, {S: 1, P: 1, R: 1}),
    "full vocabulary": ({"distill": {"divergence": "reverse"}}, {S: 1, P: 1, R: 1}),
    "full vocabulary spread": ({"distill": {"divergence": "reverse"}, **SPREAD}, {S: 4, P: 4 + 1, R: 1}),
    "full vocabulary frozen": ({"distill": {"divergence": "jsd"}, "teacher": {"kind": "frozen"}}, {S: 1, R: 2}),
    "opsd": ({"method": "opsd"}, {S: 1, P: 1, R: 1}),
    "opsd spread": ({"method": "opsd", **SPREAD}, {S: 4, P: 1, R: 1}),
    "opsd signed, zscore unread": (
        {"method": "opsd", "distill": {"form": "signed"}, "gate": {"normalise": "zscore"}},
        {S: 1, P: 1, R: 1},
    ),
    "grpo_opsd": ({"method": "grpo_opsd"}, {S: 1, P: 1, R: 1}),
    "grpo_opsd signed": ({"method": "grpo_opsd", "distill": {"form": "signed"}}, {S: 1, P: 1, R: 1}),
    "rlsd": ({"method": "rlsd"}, {S: 1, P: 1, R: 1}),
    "rlsd spread": ({"method": "rlsd", **SPREAD}, {S: 4, P: 1, R: 1}),
    "rlsd at μ = 0": ({"method": "rlsd", "credit": {"mu": 0.0}}, {S: 1, R: 1}),
    "rlsd, divergence unread": ({"method": "rlsd", "distill": {"divergence": "reverse"}}, {S: 1, P: 1, R: 1}),
    "skill_sd": ({"method": "skill_sd"}, {S: 1, P: 1, R: 1}),
    "skill_sd spread": ({"method": "skill_sd", **SPREAD}, {S: 4, P: 1, R: 1}),
    "skill_sd at λ = 0": ({"method": "skill_sd", "distill": {"coef": 0.0}}, {S: 1, R: 1}),
    "agent_opsd": ({"method": "agent_opsd"}, {S: 1, P: 1, R: 1}),
    "agent_opsd spread": ({"method": "agent_opsd", **SPREAD}, {S: 4, P: 1, R: 1}),
    "agent_opsd at μ = 0": ({"method": "agent_opsd", "credit": {"mu": 0.0}}, {S: 1, R: 1}),
    "rloo": ({"method": "rloo"}, {S: 1, P: 1, R: 1}),
    "rloo without kl": ({"method": "rloo", **NO_KL}, {S: 1}),
    "rloo without kl, spread": ({"method": "rloo", **NO_KL, **SPREAD}, {S: 4}),
    "reinforce": ({"method": "reinforce"}, {S: 1, R: 1}),
    "reinforce without kl, spread": ({"method": "reinforce", **NO_KL, **SPREAD}, {S: 4}),
    "ppo_kl": ({"method": "ppo_kl"}, {S: 1, P: 1, R: 1}),
    "ppo_kl without kl": ({"method": "ppo_kl", **NO_KL}, {S: 1}),
    "ppo_kl without kl, spread": ({"method": "ppo_kl", **NO_KL, **SPREAD}, {S: 4, P: 1}),
}


def counted(made) -> Counter:
    calls: Counter[str] = Counter()
    made.model.model.register_forward_hook(lambda *_: calls.update([S if torch.is_grad_enabled() else P]))
    if made.scorer.frozen is not None:
        made.scorer.frozen.model.register_forward_hook(lambda *_: calls.update([R]))
    return calls


@pytest.mark.parametrize("case", CASES)
def test_forward_passes_of_a_step(base, tmp_path, case):
    changes, expected = CASES[case]
    made, _ = trainer(base, tmp_path, recipe(train={"steps": 1}, **changes))
    calls = counted(made)
    made.train()
    assert calls == expected
    assert (made.scorer.frozen is None) is (R not in expected), "and no second model is held for nothing"


@pytest.mark.parametrize(
    "changes",
    [
        {"distill": {"coef": 0.1, "schedule": {"to": 0.0, "steps": 2}}},
        {"distill": {"coef": 0.1, "schedule": {"to": 0.0, "steps": 2}, "divergence": "reverse"}},
        {"method": "rlsd", "credit": {"schedule": {"to": 0.0, "steps": 2, "shape": "cosine"}}},
        {"method": "agent_opsd", "credit": {"schedule": {"to": 0.0, "steps": 2}}},
        {"method": "skill_sd", "distill": {"schedule": {"to": 0.0, "steps": 2}}},
    ],
    ids=["sdar", "reverse", "rlsd", "agent_opsd", "skill_sd"],
)
def test_a_schedule_that_reached_zero_stops_the_teacher(base, tmp_path, changes):
    made, record = trainer(base, tmp_path, recipe(**changes))
    calls = counted(made)
    seen: list[Counter] = []
    step = made.training_step

    def training_step(*args, **kwargs):
        calls.clear()
        loss = step(*args, **kwargs)
        seen.append(Counter(calls))
        return loss

    made.training_step = training_step
    made.train()
    assert seen[0] == seen[1] and seen[0][P] >= 1 and seen[2] == {S: 1, R: 1}
    assert [one["teacher/active"] for one in record.steps] == [1.0, 1.0, 0.0]


def test_a_schedule_that_leaves_zero_has_its_teacher_from_the_first_step_on(base, tmp_path):
    """The first step needs none, yet prompts and models must be there for the second."""
    chosen = recipe(distill={"coef": 0.0, "schedule": {"to": 0.1, "steps": 2}}, teacher={"kind": "frozen"}, **NO_KL)
    assert chosen.needs_teacher
    made, record = trainer(base, tmp_path, chosen)
    made.train()
    assert [step["teacher/active"] for step in record.steps] == [0.0, 1.0, 1.0]
