"""What a model's ``generation_config.json`` wishes beside the recipe does not change what is sampled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hollow_model import END, GENERATION, write
from tiny_qwen3 import qwen3_config
from transformers import PreTrainedModel, Qwen3ForCausalLM

from sdar_cli.models.load import load_model
from sdar_cli.recipe.schema import Sampling
from sdar_cli.rollout.policies import HFPolicy, end_tokens

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
    "num_beams": 2,
    "num_return_sequences": 2,
    "max_time": 1e-9,
    "max_length": 4,
    "max_new_tokens": 1,
    "min_new_tokens": 12,
    "bad_words_ids": [[5], [6]],
    "suppress_tokens": [7, 8],
    "begin_suppress_tokens": [5, 6, 7, 8, 9],
    "sequence_bias": [[[5], 9.0]],
    "forced_bos_token_id": 5,
    "forced_eos_token_id": 6,
    "exponential_decay_length_penalty": [1, 4.0],
    "stop_strings": ["a"],
    "renormalize_logits": True,
    "guidance_scale": 9.0,
    "penalty_alpha": 0.9,
    "dola_layers": "high",
    "prompt_lookup_num_tokens": 2,
    "assistant_lookbehind": 2,
    "watermarking_config": {"bias": 9.0},
    "token_healing": True,
    "cache_implementation": "static",
    "return_dict_in_generate": True,
    "output_scores": True,
    "do_sample": False,
    "use_cache": False,
    "remove_invalid_values": True,
    "diversity_penalty": 0.5,
    "low_memory": True,
    "somebodys_own": 3,
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
    monkeypatch.setattr(model.generation_config, wish, WISHES[wish], raising=False)
    assert sampled(model) == plain


def test_no_wish_outlives_the_loading(tmp_path: Path) -> None:
    """Trainers and exports take the model as it was loaded."""
    plain = load_model(str(write(tmp_path / "plain", generation={"eos_token_id": [END, 0]})))
    own = {name: wish for name, wish in WISHES.items() if name not in ("watermarking_config", "cache_implementation")}
    wishing = load_model(str(write(tmp_path / "wishing", generation=GENERATION | own)))
    kept = wishing.generation_config.to_diff_dict()
    assert {name: kept[name] for name in kept if not name.startswith(("_", "transformers"))} == {
        "eos_token_id": [END, 0],
        "pad_token_id": 0,
    }
    assert end_tokens(plain, _Tokenizer()) == end_tokens(wishing, _Tokenizer()) == {END, 0, 1}
