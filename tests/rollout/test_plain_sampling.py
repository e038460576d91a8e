"""What a model's ``generation_config.json`` wishes beside the recipe does not change what is sampled."""

from __future__ import annotations

import pytest
import torch
from tiny_qwen3 import qwen3_config
from transformers import PreTrainedModel, Qwen3ForCausalLM

from sdar_cli.recipe.schema import Sampling
from sdar_cli.rollout.policies import HFPolicy

WISHES = {
    "repetition_penalty": 9.0,
    "min_p": 0.99,
    "typical_p": 0.01,
    "epsilon_cutoff": 0.9,
    "eta_cutoff": 0.9,
    "no_repeat_ngram_size": 1,
    "temperature": 0.01,
    "top_p": 0.01,
    "top_k": 1,
}


class _Tokenizer:
    pad_token_id, eos_token_id = 0, 1


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(qwen3_config(12, eos_token_id=1)).eval()


def sampled(model: PreTrainedModel) -> list[list[int]]:
    policy = HFPolicy(model, _Tokenizer(), Sampling(), max_response_tokens=12)
    torch.manual_seed(3)
    return [answer.ids for answer in policy.generate([[2, 3, 4]] * 8)]


@pytest.mark.parametrize("wish", WISHES)
def test_a_models_own_wishes_are_not_granted(
    model: PreTrainedModel, wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = sampled(model)
    monkeypatch.setattr(model.generation_config, wish, WISHES[wish])
    assert sampled(model) == plain
