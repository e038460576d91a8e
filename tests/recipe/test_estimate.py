from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.recipe.estimate import ONE, Processes, tokens_per_step
from sdar_cli.recipe.gpus import GIB, GPUS, Gpu
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.memory import Memory, memory, sequences_held
from sdar_cli.recipe.memory_case import PHASES
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import model_shape


@cache
def published(*overrides: str, name: str = "alfworld-qwen3-1.7b") -> Recipe:
    return load_recipe(name, overrides=overrides, check_environment=False).recipe


def changed(recipe: Recipe, section: str, **values: object) -> Recipe:
    return recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=values)})


def held(*overrides: str, processes: Processes = ONE, gpu: Gpu | None = None) -> Memory:
    found = memory(published(*overrides), processes, gpu)
    assert found is not None
    return found


def parts(*overrides: str, processes: Processes = ONE, gpu: Gpu | None = None) -> dict[str, int]:
    return {part.name: part.amount for part in held(*overrides, processes=processes, gpu=gpu).parts}


def test_tokens_of_the_released_step() -> None:
    def amounts(*overrides: str) -> dict[str, int]:
        return {part.name: part.amount for part in tokens_per_step(published(*overrides))}

    found = amounts()
    assert found["episodes"] == 128
    assert found["rows"] == 128 * 50
    assert found["generated tokens"] == 128 * 50 * 512
    assert found["trained tokens"] == found["teacher tokens"] == 128 * 50 * 2560
    assert found["optimiser updates"] == 25
    assert "teacher tokens" not in amounts("method=grpo")
    assert amounts("rollout.context=full")["rows"] == 128


def test_memory_follows_what_is_trained() -> None:
    full, lora = parts(), parts("model.lora={}")
    assert full["weights"] == full["gradients"] == full["optimiser"] / 2 == full["reference model"]
    assert lora["weights"] == full["weights"]
    assert lora["gradients"] == lora["adapter"] < full["gradients"] / 20
    assert "reference model" not in lora, "the reference is the base with the adapter off"
    assert "reference model" not in parts("policy.kl_coef=0")
    assert "reference model" in parts("policy.kl_coef=0", "teacher.kind=frozen")
    assert parts("model.gradient_checkpointing=false")["activations"] > 5 * full["activations"]
    single = parts("model.dtype=float32")
    matrices = model_shape(published().model).linear * 28
    assert single["weights"] == full["weights"] and full["weights in bfloat16"] == 2 * matrices
    assert "weights in bfloat16" not in single


def test_the_peak_is_the_phase_in_which_most_is_held() -> None:
    found = held(gpu=GPUS["h100"])
    assert found.phase == "updates"
    assert found.peak == sum(p.amount for p in found.parts if "updates" in p.when)
    assert found.peak < sum(p.amount for p in found.parts)
    rollouts = held("engine.kind=hf", "rollout.tasks=64", "engine.max_batch=512")
    assert rollouts.phase == "rollouts"
    assert all(found.held(phase) <= found.peak for phase in PHASES)


def test_what_processes_divide_and_what_they_do_not() -> None:
    one, ddp, fsdp = parts(), parts(processes=Processes(8)), parts(processes=Processes(8, "fsdp2"))
    assert ddp["weights"] == one["weights"] and ddp["optimiser"] == one["optimiser"]
    assert ddp["exchange of gradients"] == one["gradients"] and "exchange of gradients" not in one
    for name in ("weights", "gradients", "optimiser", "reference model"):
        assert fsdp[name] == one[name] // 8
    assert fsdp["whole weights"] == one["weights"] == one["reference model"], "one of them at a time"
    assert fsdp["gradients not yet divided"] == 2 * fsdp["layers put together"] < one["gradients"] / 2, "bfloat16"
    assert "weights in bfloat16" in ddp and "weights in bfloat16" not in fsdp
    elsewhere = ("engine.kind=vllm", "engine.mode=server", "engine.server_url=http://localhost:8000")
    scored = held(*elsewhere, processes=Processes(8, "fsdp2"))
    assert {part.phases for part in scored.parts if part.name == "whole weights"} == {"scoring"}
    quiet = parts(*elsewhere, "evaluation.transcripts=0", processes=Processes(8, "fsdp2"))
    assert "whole weights" not in quiet and quiet["layers put together"] == fsdp["layers put together"]
    lora = parts("model.lora={}", processes=Processes(8, "fsdp2"))
    assert lora["whole weights"] == one["weights"]
    assert lora["gradients not yet divided"] < fsdp["gradients not yet divided"] / 20
    assert held(processes=Processes(8, "fsdp2")).held("updates") < held(processes=Processes(8)).held("updates")


def test_four_bits_are_the_matrices_alone() -> None:
    whole, packed = parts("model.lora={}"), parts("model.lora={quantise: nf4}")
    matrices = 28 * model_shape(published().model).linear
    assert whole["weights"] - packed["weights"] == 4 * matrices - int(0.516 * matrices)
    assert packed["adapter"] == whole["adapter"]
    more = parts("model.lora={quantise: nf4}", "model.gradient_checkpointing=false")
    assert more["weights in bfloat16"] == packed["weights in bfloat16"], "they are unpacked again, not kept"


def test_deepspeed_divides_gradients_too() -> None:
    one, eight = parts(), parts(processes=Processes(8, "zero3"))
    assert eight["gradients"] == one["gradients"] // 8
    assert eight["weights"] == one["weights"] // 16 and eight["weights in float32"] == one["weights"] // 8
    assert "weights in bfloat16" not in eight
    assert parts(processes=Processes(1, "zero3")) == one


def test_an_engine_takes_its_share() -> None:
    gpu = Gpu("a GPU of 80G", 80 * GIB)
    assert parts(gpu=gpu)["generation (vLLM)"] == 20 * GIB
    assert parts("engine.gpu_memory=0.5", gpu=gpu)["generation (vLLM)"] == 40 * GIB
    assert parts()["generation (vLLM)"] == 0, "a share of nothing known"
    server = ("engine.mode=server", "engine.server_url=http://127.0.0.1:8000")
    assert parts(*server, gpu=gpu)["generation (vLLM)"] == 0
    assert "CUDA and libraries" in parts(gpu=gpu) and "CUDA and libraries" not in parts()


def test_sequences_of_the_cache() -> None:
    recipe = published("engine.gpu_memory=0.5")
    shape = model_shape(recipe.model)
    assert shape.cache(2) == 28 * 2 * 8 * 128 * 2 == 114_688
    gpu = Gpu("", 80 * GIB)
    room = 40 * GIB - 2 * shape.parameters - 1.5 * GIB
    assert sequences_held(recipe, shape, gpu) == room // (2560 * 114_688)
    other = published("engine.gpu_memory=0.5", name="alfworld-qwen2.5-7b")
    assert sequences_held(other, shape, gpu) == sequences_held(recipe, shape, gpu)
    assert sequences_held(published("engine.gpu_memory=0.01"), shape, gpu) < 0


def test_hugging_faces_cache_is_of_the_batch_that_a_process_plays() -> None:
    own = ("engine.kind=hf",)
    cache = parts(*own)["cache of keys and values"]
    assert cache == 128 * 2560 * 28 * 2 * 1024 * 4
    assert parts(*own, processes=Processes(4))["cache of keys and values"] == cache // 4
    assert parts(*own, "engine.max_batch=16")["cache of keys and values"] == cache // 8


def test_divergences_over_the_vocabulary_have_their_logits() -> None:
    assert "divergence" in parts("distill.divergence=reverse") and "divergence" not in parts()
    assert "divergence" not in parts("method=grpo")


def test_a_row_longer_than_the_budget_is_a_micro_batch_of_its_own() -> None:
    short, long = (parts("optimiser.tokens_per_microbatch=1000", *more) for more in ((), ("rollout.context=full",)))
    assert parts("optimiser.tokens_per_microbatch=2560")["activations"] == short["activations"]
    assert long["log-probs"] > short["log-probs"], "a conversation has many responses"


@given(st.integers(256, 2**17), st.integers(1, 2**16), st.integers(1, 32), st.integers(1, 16))
def test_more_tokens_never_need_less(tokens: int, more: int, group: int, world: int) -> None:
    base = changed(published("engine.kind=hf"), "rollout", group=group)
    smaller = changed(base, "optimiser", tokens_per_microbatch=tokens)
    larger = changed(base, "optimiser", tokens_per_microbatch=tokens + more)
    for processes in (Processes(world), Processes(world, "fsdp2")):
        for phase in PHASES:
            if phase != "updates" or processes.parts == 1:
                assert memory(smaller, processes).held(phase) <= memory(larger, processes).held(phase)


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(["window", "full"]))
def test_memory_does_not_grow_with_turns(turns: int, more: int, context: str) -> None:
    """A batch of many turns is more micro-batches, not larger ones; the budget is reached by 64 rows at the latest."""
    base = changed(published("engine.kind=hf"), "rollout", context=context, tasks=8, group=8, max_turns=turns)
    assert memory(base).peak == memory(changed(base, "rollout", max_turns=turns + more)).peak


@pytest.mark.parametrize("section", ["max_prompt_tokens", "max_response_tokens", "tasks", "group"])
@given(amount=st.integers(1, 4096), more=st.integers(1, 4096))
def test_larger_rollouts_never_need_less(section: str, amount: int, more: int) -> None:
    base = published("engine.kind=hf")
    smaller, larger = (changed(base, "rollout", **{section: n}) for n in (amount, amount + more))
    assert memory(smaller).held("rollouts") <= memory(larger).held("rollouts")
