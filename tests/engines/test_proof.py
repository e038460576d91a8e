"""What an engine holds against what it was sent: fused, sharded, replicated, cast."""

from __future__ import annotations

import pytest
import torch

from sdar_cli.engines.fingerprint import summarise
from sdar_cli.engines.proof import Expected, StaleWeights, check, compare, dtypes_held
from sdar_cli.errors import UserError

DRAW = torch.Generator().manual_seed(0)
PARTS = {
    "layers.0.attn.q_proj.weight": torch.randn(8, 4, generator=DRAW),
    "layers.0.attn.k_proj.weight": torch.randn(4, 4, generator=DRAW),
    "layers.0.attn.v_proj.weight": torch.randn(4, 4, generator=DRAW),
    "layers.0.norm.weight": torch.randn(4, generator=DRAW),
    "model.embed_tokens.weight": torch.randn(6, 4, generator=DRAW),
}
FUSED = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv"}


def expected(parts: dict[str, torch.Tensor], *dtypes: str) -> Expected:
    out = Expected(dtypes or ("float32",))
    assert dict(out.watch(parts.items())).keys() == parts.keys()
    return out


def report(weights: dict[str, torch.Tensor], fused: dict | None = None, adapter: dict | None = None) -> dict:
    return {"boot": "x", "fused": fused or {}, "weights": summarise(weights.items()), "adapter": adapter or {}}


def fused(parts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = [name for name in parts if "attn" in name]
    rest = {name: tensor for name, tensor in parts.items() if "attn" not in name}
    return {"layers.0.attn.qkv.weight": torch.cat([parts[name] for name in names]), **rest}


def test_the_same_weights() -> None:
    check(expected(PARTS), [report(PARTS)], "it")
    check(expected(PARTS), [report(fused(PARTS), FUSED)], "it")


def test_a_step_at_a_learning_rate_of_1e_6_is_seen() -> None:
    """Adam's first step moves every weight by the learning rate."""
    moved = {name: tensor - 1e-6 * tensor.sign() for name, tensor in PARTS.items()}
    with pytest.raises(StaleWeights, match=r"^it does not hold the policy's weights after they were sent \(3 tensors"):
        check(expected(moved), [report(fused(PARTS), FUSED)], "it")


def test_a_step_at_1e_6_is_seen_in_bfloat16() -> None:
    """Few of the rounded weights move, and one is enough."""
    large = {"w.weight": 0.02 * torch.randn(64, 64, generator=DRAW)}
    moved = {"w.weight": large["w.weight"] - 1e-6}
    held = report({"w.weight": large["w.weight"].bfloat16()})
    check(expected(large, "bfloat16"), [held], "it")
    with pytest.raises(StaleWeights):
        check(expected(moved, "bfloat16"), [held], "it")


def test_shards_add_up_and_replicas_are_each_compared() -> None:
    def worker(n: int, norm: torch.Tensor) -> dict:
        cut = {name: tensor.chunk(2)[n] for name, tensor in fused(PARTS).items() if "norm" not in name}
        return report({**cut, "layers.0.norm.weight": norm}, FUSED)

    norm = PARTS["layers.0.norm.weight"]
    check(expected(PARTS), [worker(0, norm), worker(1, norm)], "it")
    with pytest.raises(StaleWeights, match=r"1 tensors differ, the first is layers\.0\.norm"):
        check(expected(PARTS), [worker(0, norm), worker(1, norm + 1e-6)], "it")


def test_a_vocabulary_that_the_engine_rounds_up() -> None:
    padded = PARTS | {"model.embed_tokens.weight": torch.cat([PARTS["model.embed_tokens.weight"], torch.zeros(2, 4)])}
    check(expected(PARTS), [report(padded)], "it")


def test_repeated_heads_are_left_out_rather_than_called_stale() -> None:
    """Two workers that both hold the only key head: their sum is no tensor of ours."""
    twice = fused(PARTS) | {"layers.0.attn.qkv.weight": torch.cat([fused(PARTS)["layers.0.attn.qkv.weight"]] * 2)}
    wrong, compared, total = compare(expected(PARTS), [report(twice, FUSED)])
    assert (wrong, compared, total) == ([], 28, 92)


def test_too_little_to_compare_is_an_error_with_its_remedy() -> None:
    with pytest.raises(UserError, match=r"^only 4% of the weights of it can be compared.*engine\.proof=false"):
        check(expected(PARTS), [report({"layers.0.norm.weight": PARTS["layers.0.norm.weight"]})], "it")


def test_an_adapter_is_padded_to_the_engines_rank() -> None:
    own = {"layers.0.q_proj.lora_a": torch.randn(2, 4, generator=DRAW)}
    slot = {"layers.0.qkv.lora_a": torch.cat([own["layers.0.q_proj.lora_a"], torch.zeros(6, 4)])}
    told = report(PARTS, FUSED, summarise(slot.items()))
    check(expected(own), [told], "it", "adapter")
    with pytest.raises(StaleWeights):
        check(expected({"layers.0.q_proj.lora_a": own["layers.0.q_proj.lora_a"] * (1 + 1e-6)}), [told], "it", "adapter")
    with pytest.raises(UserError, match=r"^only 0%"):
        check(expected(own), [report(PARTS, FUSED)], "it", "adapter")


def test_dtypes_that_an_engine_holds() -> None:
    mixed = report({"a": torch.zeros(1), "b": torch.zeros(1, dtype=torch.bfloat16), "c": torch.zeros(1).byte()})
    assert dtypes_held([mixed]) == ("bfloat16", "float32")
