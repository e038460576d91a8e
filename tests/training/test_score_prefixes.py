"""Computing shared beginnings once changes no log-probability: against one plain forward pass a sequence."""

from __future__ import annotations

import random
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import exact_head
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM
from trl.trainer.utils import add_fused_lm_head

from sdar_cli.training import prefix_pass, prefixes
from sdar_cli.training.prefix_pass import Runner, Target, shares_prefixes
from sdar_cli.training.prefixes import plan

SHAPE = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.5,
    "max_position_embeddings": 512,
}
TEMPERATURE = 0.7
PAD = 0
"""No sequence has it."""
MODELS = {
    "qwen3": lambda **more: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8, **more)),
    "qwen2.5": lambda **more: Qwen2ForCausalLM(Qwen2Config(**SHAPE, **more)),
    "llama": lambda **more: LlamaForCausalLM(LlamaConfig(**SHAPE, **more)),
}

NEAR = {"sdpa": 1e-9, "eager": 1e-5}
"""Transformers' eager attention has its softmax in float32, whatever the model."""


def model_of(kind: str, dtype=torch.float64, **more):
    torch.manual_seed(0)
    model = MODELS[kind](**more).to(dtype).eval()
    add_fused_lm_head(model, temperature=TEMPERATURE)
    return model


def runner(model, budget=10_000, *, shared=True) -> Runner:
    return Runner(model, shared, SHAPE["num_hidden_layers"], PAD, torch.device("cpu"), budget, nullcontext)


def step_targets(seed=0, groups=3, samples=4, turns=3) -> list[Target]:
    """Template, then a group's task, then a turn's own words; the first turn's prompt is the group's alone, some
    turns' end in the middle of another's, and environments' words stand between responses."""
    draw = random.Random(seed)

    def words(low, high):
        return [draw.randrange(1, 50) for _ in range(draw.randrange(low, high))]

    template, out = words(20, 30), []
    for _ in range(groups):
        task = words(5, 30)
        for _ in range(samples):
            history: list[int] = []
            for turn in range(turns):
                history = history + (words(1, 9) if turn else [])
                completion = words(1, 12)
                mask = [int(draw.random() < 0.8) for _ in completion]
                out.append(Target([*template, *task, *history], completion, mask))
    return out


def alone(model, target: Target) -> torch.Tensor:
    ids = torch.tensor([[*target.prompt, *target.completion]])
    with torch.no_grad():
        logps = (model(input_ids=ids).logits[0] / TEMPERATURE).log_softmax(-1)
    start = len(target.prompt)
    found = torch.stack([logps[start + i - 1, token] for i, token in enumerate(target.completion)])
    return found * torch.tensor(target.mask)


def cheap_calls(monkeypatch, cost=0) -> None:
    """Every segment that saves anything is worth a level."""
    monkeypatch.setattr(prefixes, "CALL", cost)
    monkeypatch.setattr(prefix_pass, "CALL", cost)
    monkeypatch.setattr(prefixes, "SMALLEST", 1)
    monkeypatch.setattr(prefixes, "SHARES", (0.01,))


@pytest.mark.parametrize("budget", [10_000, 200, 1], ids=lambda tokens: f"{tokens} tokens")
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", MODELS)
def test_float64(monkeypatch, kind, attention, budget):
    """One batch, many, and one a sequence; segments that fit the budget and those that do not."""
    exact_head(monkeypatch)
    cheap_calls(monkeypatch)
    model = model_of(kind, attn_implementation=attention)
    targets = step_targets()
    assert shares_prefixes(model)
    assert len(plan([t.prompt for t in targets]).levels) >= 3
    for found, target in zip(runner(model, budget).log_probs(targets), targets, strict=True):
        torch.testing.assert_close(found, alone(model, target), rtol=0, atol=NEAR[attention])


@pytest.mark.parametrize("kind", MODELS)
def test_float32(monkeypatch, kind):
    """With TRL's own kernel."""
    cheap_calls(monkeypatch)
    model = model_of(kind, torch.float32)
    targets = step_targets(1)
    for found, target in zip(runner(model, 300).log_probs(targets), targets, strict=True):
        torch.testing.assert_close(found, alone(model, target), rtol=1e-5, atol=2e-5)


def test_bfloat16_under_autocast(monkeypatch):
    """Within what bfloat16 differs by from batch to batch."""
    cheap_calls(monkeypatch)
    model = model_of("qwen3", torch.float32)
    targets = step_targets(2)
    exact = runner(model).log_probs(targets)
    half = Runner(model, True, 3, PAD, torch.device("cpu"), 300, lambda: torch.autocast("cpu", torch.bfloat16))
    gap = torch.cat([a - b for a, b in zip(half.log_probs(targets), exact, strict=True)]).abs()
    plain = Runner(model, False, 3, PAD, torch.device("cpu"), 300, lambda: torch.autocast("cpu", torch.bfloat16))
    usual = torch.cat([a - b for a, b in zip(plain.log_probs(targets), exact, strict=True)]).abs()
    assert usual.mean() > 0 and gap.mean() < 1.5 * usual.mean()


class Counted:
    """Tokens that a model computes, padding not counted, and its forward passes."""

    def __init__(self, model) -> None:
        self.tokens, self.passes = 0, 0
        model.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module, args, kwargs) -> None:
        self.tokens += int((kwargs["input_ids"] != PAD).sum())
        self.passes += 1


def tree_tokens(targets: list[Target]) -> int:
    """Distinct beginnings of the prompts, each prompt's last token aside, and each sequence's own tokens."""
    prompts = {tuple(t.prompt[:end]) for t in targets for end in range(1, len(t.prompt))}
    return len(prompts) + sum(1 + len(t.completion) for t in targets)


def test_no_shared_token_is_computed_twice(monkeypatch):
    cheap_calls(monkeypatch)
    model = model_of("qwen3", torch.float32)
    targets = step_targets(3)
    counted = Counted(model)
    runner(model).log_probs(targets)
    assert counted.tokens == tree_tokens(targets) < sum(len(t.prompt) + len(t.completion) for t in targets) / 2


def test_equal_sequences_are_scored_once():
    model = model_of("qwen3", torch.float32)
    one, other = Target([1, 2, 3], [4, 5], [1, 1]), Target([1, 2, 3], [4, 5], [1, 0])
    counted = Counted(model)
    first, second, third = runner(model).log_probs([one, other, one])
    assert counted.tokens == 10 and torch.equal(first, third)
    assert second[0] == first[0] and second[1] == 0 != first[1]


def test_few_tokens_are_one_ordinary_pass():
    """What a level would save is less than what a forward pass costs."""
    model = model_of("qwen3", torch.float32)
    counted = Counted(model)
    runner(model).log_probs(step_targets(4, groups=2, samples=2, turns=1))
    assert counted.passes == 1


def test_no_targets():
    assert runner(model_of("qwen3")).log_probs([]) == []


@pytest.mark.parametrize("shared", [True, False])
def test_a_prompt_of_one_token_and_an_own_prompt_that_is_anothers_beginning(monkeypatch, shared):
    exact_head(monkeypatch)
    cheap_calls(monkeypatch)
    model = model_of("qwen3")
    targets = [Target(list(range(1, n)), [7, 8, 9], [1, 1, 1]) for n in (2, 3, 9, 9, 20, 40)]
    targets.append(Target([40, 41], [3], [1]))
    for found, target in zip(runner(model, shared=shared).log_probs(targets), targets, strict=True):
        torch.testing.assert_close(found, alone(model, target), rtol=0, atol=1e-9)


WINDOW = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}


def test_a_sliding_window_gets_the_plain_pass(monkeypatch):
    """Its cache forgets, and the decision is taken from its configuration."""
    exact_head(monkeypatch)
    cheap_calls(monkeypatch)
    model = model_of("qwen2.5", **WINDOW)
    assert not shares_prefixes(model)
    targets = step_targets(5)
    plain = runner(model, 300, shared=False).log_probs(targets)
    for found, target in zip(plain, targets, strict=True):
        torch.testing.assert_close(found, alone(model, target), rtol=0, atol=1e-9)


def test_which_models_share():
    from transformers import GPT2Config, GPT2LMHeadModel, Qwen3NextConfig, Qwen3NextForCausalLM

    hybrid = Qwen3NextConfig(**SHAPE, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=8, head_dim=8)
    assert not shares_prefixes(Qwen3NextForCausalLM(hybrid))
    assert shares_prefixes(GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=10)))
    assert not shares_prefixes(model_of("qwen3", attn_implementation="flex_attention"))


FACTORS = {"short_factor": [1.0] * 4, "long_factor": [8.0] * 4, "original_max_position_embeddings": 32}


@pytest.mark.parametrize(
    ("rope", "shares"),
    [
        ({"rope_type": "default"}, True),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}, True),
        ({"rope_type": "dynamic", "factor": 4.0}, False),
        ({"rope_type": "longrope", "factor": 16.0, **FACTORS}, False),
    ],
)
def test_positions_that_depend_on_the_length_get_the_plain_pass(rope, shares):
    """Phi-3's, for one: a beginning by itself is rotated otherwise than as the beginning of a long prompt."""
    assert shares_prefixes(model_of("llama", rope_parameters={"rope_theta": 1e4, **rope})) is shares


prompts_of_few_tokens = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=8), max_size=12)


@given(prompts_of_few_tokens, st.integers(0, 12))
def test_plans(prompts, call):
    """Segments put together are the beginning of each prompt below them, short of its last token; a plan is never
    dearer than none; and equal prompts are treated alike, wherever they stand."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        cheap_calls(monkeypatch, call)
        made = plan(prompts)
    computed = 0
    for prompt, parent in zip(prompts, made.parents, strict=True):
        path = parent.path if parent else ()
        read = [token for segment in path for token in segment.tokens]
        assert read == prompt[: len(read)] and len(read) < len(prompt)
        assert [segment.start for segment in path] == [sum(len(s.tokens) for s in path[:i]) for i in range(len(path))]
        assert all(segment.parent is above for above, segment in zip((None, *path), path, strict=False))
        assert all(segment is made.levels[depth][segment.index] for depth, segment in enumerate(path))
        computed += len(prompt) - len(read)
    computed += made.kept_tokens + call * len(made.levels)
    assert computed <= sum(map(len, prompts))
    alike = dict(zip(map(tuple, prompts), made.parents, strict=True))
    assert all(alike[tuple(prompt)] is parent for prompt, parent in zip(prompts, made.parents, strict=True))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(0, 40))
def test_batches_of_like_length_are_the_cheapest_cut(widths, call):
    """Against every way to cut, where there are few; padded tokens and ``call`` a batch."""
    widths = sorted(widths)[:9]
    with pytest.MonkeyPatch.context() as monkeypatch:
        cheap_calls(monkeypatch, call)
        batches = prefix_pass._batches(widths, [None] * len(widths), 10**9)

    def cost(parts):
        return sum(call + max(part) * len(part) for part in parts)

    def every_cut(left):
        if not left:
            yield []
        for first in range(1, len(left) + 1):
            for rest in every_cut(left[first:]):
                yield [left[:first], *rest]

    assert sorted(place for batch in batches for place in batch) == list(range(len(widths)))
    assert cost([[widths[i] for i in batch] for batch in batches]) == min(map(cost, every_cut(widths)))
