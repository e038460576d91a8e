"""Logits that no token can be drawn from are noticed before the drawing, and nothing else is."""

from __future__ import annotations

import math

import pytest
import torch

from sdar_cli.models.finite import LogitsNotFinite, finite_logits
from sdar_cli.models.tiny import build_model, build_tokenizer
from sdar_cli.recipe.schema import Sampling, TinyModel
from sdar_cli.rollout.policies import HFPolicy


@pytest.fixture
def tokenizer():
    return build_tokenizer(["one two three four"])


@pytest.fixture
def model(tokenizer):
    return build_model(TinyModel(layers=1, width=16, heads=2, mlp=32), tokenizer, seed=0)


def spoil(model, value: float) -> None:
    with torch.no_grad():
        model.model.norm.weight[0] = value


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nothing_is_drawn_from_logits_that_are_not_finite(model, tokenizer, value: float) -> None:
    policy = HFPolicy(model, tokenizer, Sampling(), max_response_tokens=4)
    assert len(policy.generate([[5, 6], [7]])) == 2
    spoil(model, value)
    with pytest.raises(
        LogitsNotFinite, match=r"are not finite \(NaN or Inf\), .* lower optimiser\.learning_rate"
    ) as error:
        policy.generate([[5, 6], [7]])
    assert error.value.exit_code == 1
    assert not model.get_output_embeddings()._forward_hooks, "the check is gone again"


def test_a_token_that_is_ruled_out_is_well(model) -> None:
    head = model.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, inputs, out: out.index_fill(-1, torch.tensor([3]), -math.inf))
    with finite_logits(model):
        model(torch.tensor([[5]]))
    handle.remove()


def test_training_and_scoring_are_not_looked_at(model) -> None:
    """They have checks of their own, and their logits are many."""
    spoil(model, math.nan)
    with finite_logits(model):
        model(torch.tensor([[5, 6, 7]]))
        with pytest.raises(LogitsNotFinite):
            model(torch.tensor([[5, 6, 7]]), logits_to_keep=1)
