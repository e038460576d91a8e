from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.recipe.estimate import Processes
from sdar_cli.recipe.gpus import GIB, GPUS, Gpu
from sdar_cli.recipe.hours import UTILISATION, Hours, Load, Roofline, hours, passes
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import model_shape

H100 = GPUS["h100"]


@cache
def recipe(*overrides: str, name: str = "alfworld-qwen3-1.7b") -> Recipe:
    return load_recipe(name, overrides=overrides, check_environment=False).recipe


def changed(base: Recipe, section: str, **values: object) -> Recipe:
    return base.model_copy(update={section: getattr(base, section).model_copy(update=values)})


def seconds(found: Hours) -> dict[str, tuple[float, float]]:
    return {part.name: (part.usual, part.most) for part in found.step}


def test_forward_flops_are_those_of_the_matrices() -> None:
    """Counted by torch on a real model: 2 a multiply-add, attention and head included."""
    import torch
    from tiny_qwen3 import qwen3_config
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import Qwen3ForCausalLM

    config = qwen3_config(320, attn_implementation="eager")
    base = recipe("rollout.context=full", "rollout.tasks=1", "rollout.group=3", "rollout.max_prompt_tokens=20")
    base = changed(base, "rollout", max_response_tokens=12)
    shape = _shape_of(config)
    line = Roofline(base, shape, H100, Processes(), Load(1.0, 20, 12, 1.0))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Qwen3ForCausalLM(config)(torch.ones(3, 32, dtype=torch.long))
    rotary = 3 * 2 * (config.head_dim // 2) * 32  # positions times frequencies, a matrix product as well
    assert line.forward_flops() == pytest.approx(counter.get_total_flops(), abs=rotary)


def _shape_of(config):
    import tempfile

    from sdar_cli.recipe.schema import Model

    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        return model_shape(Model(path=folder))


def test_updates_are_three_forwards_and_a_fourth_with_checkpointing() -> None:
    def ratio(*overrides: str) -> float:
        found = seconds(hours(recipe(*overrides), H100))
        return found["updates"][1] / (found["scoring"][1] / sum(passes(recipe(*overrides)).values()))

    assert ratio() == pytest.approx(4)
    assert ratio("model.gradient_checkpointing=false") == pytest.approx(3)
    assert ratio("model.lora={}", "model.gradient_checkpointing=false") == pytest.approx(2)


def test_passes_are_those_that_the_scorer_makes() -> None:
    assert passes(recipe()) == {"teacher": 1, "reference": 1, "old policy": 1}
    assert passes(recipe("method=grpo", "policy.kl_coef=0", "engine.kind=hf", "optimiser.rows_per_update=null")) == {}
    assert passes(recipe("method=grpo", "engine.kind=hf", "optimiser.rows_per_update=null")) == {"reference": 1}
    assert passes(recipe("method=ppo_kl", "engine.kind=hf")) == {"reference": 1, "old policy": 1}


def test_a_known_case_by_hand() -> None:
    """The upper bound of Qwen3-1.7B's updates: 6 400 rows of 2 560 tokens, 4 × forward, 35 % of 989 TFLOP/s."""
    found = hours(recipe(), H100)
    body = 2 * 1_409_286_144 * 2560 + 4 * 28 * 2048 * 2560**2
    forward = 6400 * (body + 2 * 151_936 * 2048 * 512)
    assert seconds(found)["updates"][1] == pytest.approx(4 * forward / (UTILISATION * 989e12))
    assert found.evaluated == 4 + 29
    assert found.usual < found.most


def test_what_is_not_known_is_not_estimated() -> None:
    assert hours(recipe(), Gpu("a GPU of 80G", 80 * GIB)) is None
    assert hours(recipe("model.path=some/thing"), H100) is None


def test_a_faster_gpu_is_faster_and_more_of_them_are() -> None:
    slow, fast = hours(recipe(), GPUS["a100-80"]), hours(recipe(), GPUS["h200"])
    assert fast.usual < slow.usual and fast.most < slow.most
    eight = hours(recipe(), H100, Processes(8))
    one = hours(recipe(), H100)
    assert eight.most < one.most
    assert seconds(eight)["updates"][1] == pytest.approx(seconds(one)["updates"][1] / 8)


@pytest.mark.parametrize("context", ["window", "full"])
@pytest.mark.parametrize("kind", ["hf", "vllm"])
@given(turns=st.integers(1, 60), more=st.integers(0, 60), group=st.integers(1, 16))
def test_more_turns_never_take_less(context: str, kind: str, turns: int, more: int, group: int) -> None:
    base = changed(recipe(f"engine.kind={kind}"), "rollout", context=context, max_turns=turns, group=group)
    short, long = hours(base, H100), hours(changed(base, "rollout", max_turns=turns + more), H100)
    assert short.most <= long.most * (1 + 1e-9)
    for found in (short, long):
        assert all(0 <= part.usual <= part.most * (1 + 1e-9) for part in (*found.step, found.evaluations))


@given(st.integers(16, 4096), st.integers(0, 4096), st.sampled_from(["max_prompt_tokens", "max_response_tokens"]))
def test_more_tokens_never_take_less(tokens: int, more: int, key: str) -> None:
    short, long = (changed(recipe(), "rollout", **{key: n}) for n in (tokens, tokens + more))
    assert hours(short, H100).most <= hours(long, H100).most * (1 + 1e-9)


def test_a_server_is_shared_by_the_processes() -> None:
    own = ("engine.mode=server", "engine.server_url=http://a:1")
    two = ("engine.mode=server", 'engine.server_url=["http://a:1", "http://b:1"]')
    one, both = (seconds(hours(recipe(*words), H100, Processes(8)))["generation"] for words in (own, two))
    assert both[1] < one[1]
