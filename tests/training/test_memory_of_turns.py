"""What a training step holds at its peak: bounded by ``optimiser.tokens_per_microbatch``, whatever the number of turns.

Bytes are counted by torch's allocator on a CPU, as ``benchmarks/memory.py`` does, so that they depend on no machine.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from make_trainer import train  # noqa: E402
from memory import Shape, peak, played, save_base, trainer_of  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.long]

SHAPE = Shape(layers=2, width=32, heads=2, mlp=64, vocabulary=64, budget=512, episodes=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """Given a shape and a context, a trainer that has made a step."""
    made = {}

    def get(shape: Shape = SHAPE, context: str = "window"):
        if (shape, context) not in made:
            folder = tmp_path_factory.mktemp("memory")
            trainer = trainer_of(shape, save_base(shape, folder / "base"), context, folder)
            train(trainer, played(shape, context, 2, 99))
            made[shape, context] = trainer
        return made[shape, context]

    return get


def held(trainer, episodes) -> int:
    """Bytes at the peak of a step on these episodes."""
    with peak() as most:
        train(trainer, episodes)
    return most()


def test_fifty_turns_need_no_more_memory_than_five(trained):
    trainer = trained()
    five, fifty = (held(trainer, played(SHAPE, "window", turns, seed=0)) for turns in (5, 50))
    assert 0.9 < fifty / five < 1.1
    assert trainer.step_metrics["optim/rows"] == 16 * 50


def test_the_budget_is_what_memory_follows(trained):
    """The count can see growth: twice the budget is about twice the memory."""
    small, large = trained(), trained(replace(SHAPE, budget=1024))
    episodes = played(SHAPE, "window", 5, seed=0)
    assert 1.6 < held(large, episodes) / held(small, episodes) < 2.2


def test_full_context_grows_with_the_longest_row_alone(trained):
    """Up to the budget not at all; beyond it, a row is a micro-batch by itself, and memory grows with its length and
    not with its square."""
    trainer = trained(context="full")
    short, whole, long = (
        played(replace(SHAPE, episodes=count), "full", turns, seed=0) for turns, count in ((5, 64), (25, 16), (75, 8))
    )
    lengths = [max(len(e.turns[-1].prompt_ids) for e in own) for own in (short, whole, long)]
    assert lengths[0] < lengths[1] < SHAPE.budget < 2 * SHAPE.budget < lengths[2]
    peaks = [held(trainer, own) for own in (short, whole, long)]
    assert peaks[1] < 1.15 * peaks[0]
    assert 0.7 * lengths[2] / lengths[1] < peaks[2] / peaks[1] < 1.1 * lengths[2] / lengths[1]


def test_checkpointed_layers_hold_less_and_learn_the_same(trained):
    deep = replace(SHAPE, layers=6)
    plain, frugal = trained(deep), trained(replace(deep, checkpointing=True))
    assert frugal.model.is_gradient_checkpointing and not plain.model.is_gradient_checkpointing
    episodes = played(deep, "window", 5, seed=0)
    gradients = []
    for trainer in (plain, frugal):
        trainer.train_on(trainer.model, episodes)
        gradients.append({name: p.grad.clone() for name, p in trainer.model.named_parameters()})
        trainer.model.zero_grad()
    for name, value in gradients[0].items():
        assert value.norm() > 0 and (gradients[1][name] - value).norm() < 1e-4 * value.norm(), name
    assert held(frugal, episodes) < 0.6 * held(plain, episodes)


def test_bfloat16_holds_less_and_learns_nearly_the_same(trained):
    plain, short = trained(), trained(replace(SHAPE, dtype="bfloat16"))
    episodes = played(SHAPE, "window", 5, seed=0)
    assert held(short, episodes) < 0.9 * held(plain, episodes)
    assert {p.dtype for p in short.model.parameters()} == {torch.float32}, "weights and moments stay whole"
    gradients = []
    for trainer in (plain, short):
        trainer.train_on(trainer.model, episodes)
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]))
        trainer.model.zero_grad()
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99
