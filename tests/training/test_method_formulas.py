"""Every method's loss and gradient, through the trainer, against the formulas written down once more.

Weights differ for rollout-time student, student, reference and average, so that a log-prob taken from the wrong
one would show.
"""

from __future__ import annotations

import pytest
import torch
from method_reference import Models, loss_of
from tiny_training import episodes, exact_head, recipe, trainer

from sdar_cli.models.load import load_model

pytestmark = pytest.mark.train

POLICY = {"kl_coef": 0.05, "clip": 0.1, "dual_clip": 1.3, "entropy_coef": 0.03}
CASES = {
    "grpo": {"method": "grpo"},
    "grpo turn": {"method": "grpo", "policy": {**POLICY, "advantage": "turn"}},
    "grpo no dual clip": {"method": "grpo", "policy": {**POLICY, "dual_clip": None}},
    "sdar": {"distill": {"coef": 0.7}},
    "sdar temperature": {"distill": {"coef": 0.7}, "rollout": {"sampling": {"temperature": 0.7}}},
    "sdar frozen": {"distill": {"coef": 0.7}, "teacher": {"kind": "frozen"}},
    "sdar ema": {"distill": {"coef": 0.7}, "teacher": {"kind": "ema"}},
    "sdar full": {"distill": {"coef": 0.7}, "rollout": {"context": "full"}},
    "opsd": {"method": "opsd", "distill": {"coef": 0.7}},
    "opsd signed": {"method": "opsd", "distill": {"coef": 0.7, "form": "signed"}},
    "grpo_opsd": {"method": "grpo_opsd", "distill": {"coef": 0.7}},
    "grpo_opsd signed": {"method": "grpo_opsd", "distill": {"coef": 0.7, "form": "signed"}},
    "skill_grpo": {"method": "skill_grpo"},
    "rlsd": {"method": "rlsd", "credit": {"clip": 0.6}},
    "rlsd frozen": {"method": "rlsd", "credit": {"clip": 0.6}, "teacher": {"kind": "frozen"}},
    "rlsd full": {"method": "rlsd", "credit": {"clip": 0.6}, "rollout": {"context": "full"}},
    "skill_sd": {"method": "skill_sd", "distill": {"coef": 0.4}},
    "skill_sd full": {"method": "skill_sd", "distill": {"coef": 0.4}, "rollout": {"context": "full"}},
    "agent_opsd": {"method": "agent_opsd", "credit": {"clip": 0.6}},
    "agent_opsd full": {"method": "agent_opsd", "credit": {"clip": 0.6}, "rollout": {"context": "full"}},
    "rloo": {"method": "rloo"},
    "rloo full": {"method": "rloo", "rollout": {"context": "full"}},
    "reinforce": {"method": "reinforce"},
    "ppo_kl": {"method": "ppo_kl"},
    "ppo_kl full": {"method": "ppo_kl", "rollout": {"context": "full"}},
    "entropy": {"distill": {"coef": 0.7}, "gate": {"kind": "entropy"}},
    "soft_or": {"distill": {"coef": 0.7}, "gate": {"kind": "soft_or", "beta": 2.0}},
    "none": {"distill": {"coef": 0.7}, "gate": {"kind": "none"}},
    "gap not detached": {"distill": {"coef": 0.7}, "gate": {"detach": False}},
    "soft_or not detached": {"distill": {"coef": 0.7}, "gate": {"kind": "soft_or", "beta": 2.0, "detach": False}},
    "zscore": {"distill": {"coef": 0.7}, "gate": {"normalise": "zscore"}},
    "turn_mean": {"distill": {"coef": 0.7}, "gate": {"normalise": "turn_mean", "detach": False}},
    "turn_mean full": {
        "distill": {"coef": 0.7},
        "gate": {"normalise": "turn_mean", "detach": False},
        "rollout": {"context": "full"},
    },
    "reverse": {"distill": {"coef": 0.7, "divergence": "reverse"}},
    "reverse temperature": {
        "distill": {"coef": 0.7, "divergence": "reverse"},
        "rollout": {"sampling": {"temperature": 0.7}},
    },
    "reverse uniform": {"method": "grpo_opsd", "distill": {"coef": 0.7, "divergence": "reverse"}},
    "forward frozen": {"distill": {"coef": 0.7, "divergence": "forward"}, "teacher": {"kind": "frozen"}},
    "jsd ema full": {
        "distill": {"coef": 0.7, "divergence": "jsd"},
        "teacher": {"kind": "ema"},
        "rollout": {"context": "full"},
    },
    "jsd not detached": {"distill": {"coef": 0.7, "divergence": "jsd"}, "gate": {"detach": False}},
}


def moved(model, seed: int, scale: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=draw, dtype=torch.float64))


IN_ONE = ("grpo", "sdar full", "rlsd", "skill_sd", "reverse", "turn_mean full", "zscore")


@pytest.mark.parametrize(
    ("case", "micro"),
    [*((case, 60) for case in CASES), *((case, 10**6) for case in IN_ONE)],
    ids=[*CASES, *(f"{case} in one micro-batch" for case in IN_ONE)],
)
def test_loss_and_gradient_are_the_formulas(base, tmp_path, monkeypatch, case, micro):
    exact_head(monkeypatch)
    changes = {"policy": POLICY, "optimiser": {"tokens_per_microbatch": micro}, **CASES[case]}
    chosen = recipe(**changes)
    made, _ = trainer(base, tmp_path, chosen, double=True)
    made.current_gradient_accumulation_steps = 1
    models = Models(*(load_model(str(base)).double() for _ in range(4)))
    moved(made.model, 1, 0.02)
    models.old.load_state_dict(made.model.state_dict())
    moved(models.teacher, 2, 0.05)
    score = made.scorer.score

    def score_then_move(*args, several_updates):
        """As if earlier updates of the same rollout had moved the weights."""
        if made.average is not None:
            made.average.average |= {n: p.detach().float() for n, p in models.teacher.named_parameters()}
        scores = score(*args, several_updates=True)
        moved(made.model, 3, 0.05)
        return scores

    monkeypatch.setattr(made.scorer, "score", score_then_move)
    played = episodes(0, len(made._tokenizer), context=chosen.rollout.context)
    loss = made.train_on(made.model, played)
    models.student.load_state_dict(made.model.state_dict())
    full = chosen.distill.divergence != "sampled"
    kinds = {"live": models.student if full else models.old, "frozen": models.reference, "ema": models.teacher}
    models.teacher = kinds[chosen.teacher.kind]
    expected, parts = loss_of(chosen, played, models)
    expected.backward()
    if chosen.method in ("grpo", "ppo_kl"):
        assert sum(made._metrics["train"]["clip_ratio/region_mean"]) > 0
    assert loss.item() == pytest.approx(expected.item(), rel=2e-6)
    for name, value in parts.items():
        assert made.step_metrics.get(f"loss/{name}", 0.0) == pytest.approx(value, rel=2e-6, abs=1e-9), name
    gradients = {name: p.grad for name, p in models.student.named_parameters()}
    scale = max(gradient.abs().max().item() for gradient in gradients.values())
    assert scale > 1e-3
    for name, parameter in made.model.named_parameters():
        torch.testing.assert_close(
            parameter.grad, gradients[name], rtol=2e-5, atol=2e-6 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )
