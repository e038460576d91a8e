"""Sums of weights' bits: equal for equal contents however they are cut, and another for any bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.engines import fingerprint
from sdar_cli.engines.fingerprint import Fingerprint, bit_sum, describe, summarise

DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def weights(shape: tuple[int, int], seed: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@given(SHAPES, st.integers(0, 99), DTYPES, st.integers(0, 9))
def test_parts_add_up_to_the_whole(shape, seed, dtype, cut) -> None:
    whole = weights(shape, seed, dtype)
    parts = whole[:cut], whole[cut:]
    assert sum(map(bit_sum, parts)) % 2**64 == bit_sum(whole)


@given(SHAPES, st.integers(0, 99), DTYPES)
def test_zero_padding_counts_nothing_and_chunks_change_nothing(shape, seed, dtype) -> None:
    whole = weights(shape, seed, dtype)
    padded = torch.cat([whole, torch.zeros(3, shape[1], dtype=dtype)])
    assert bit_sum(padded) == bit_sum(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "_CHUNK", 4)
        assert bit_sum(whole) == bit_sum(padded.contiguous())


@given(SHAPES, st.integers(0, 99), DTYPES, st.data())
def test_one_bit_is_seen(shape, seed, dtype, data) -> None:
    whole = weights(shape, seed, dtype)
    bits = whole.clone().view(-1).view(torch.int32 if dtype == torch.float32 else torch.int16)
    where = data.draw(st.integers(0, bits.numel() - 1))
    bits[where] ^= 1 << data.draw(st.integers(0, whole.element_size() * 8 - 2))
    assert bit_sum(bits.view(dtype)) != bit_sum(whole)


@given(st.integers(0, 99))
def test_steps_that_cancel_in_a_plain_sum_are_seen(seed) -> None:
    whole = weights((8, 8), seed, torch.float32)
    moved = whole.clone()
    moved.view(torch.int32)[0, 0] += 1
    moved.view(torch.int32)[0, 1] -= 1
    assert bit_sum(moved) != bit_sum(whole)


def test_a_view_is_read_in_its_own_order() -> None:
    whole = weights((4, 6), 0, torch.float32)
    assert bit_sum(whole.T) == bit_sum(whole.T.contiguous())


class Fused(torch.nn.Module):
    packed_modules_mapping = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "o_proj": ["o_proj"]}

    def __init__(self) -> None:
        super().__init__()
        self.qkv_proj = torch.nn.Linear(4, 12, bias=False)


class Slots:
    """An adapter manager with one slot of two in use."""

    lora_index_to_id = [None, 7]

    def __init__(self) -> None:
        module = torch.nn.Module()
        module.lora_a_stacked = (torch.ones(2, 1, 2, 4), torch.full((2, 1, 2, 4), 2.0))
        module.lora_b_stacked = torch.full((2, 1, 4, 2), 3.0)
        self.modules = {"layers.0.qkv_proj": module, "layers.0.bare": torch.nn.Module()}


def test_what_a_worker_says() -> None:
    model = Fused()
    told = describe(model)
    assert told["fused"] == {"q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj"}
    assert told["weights"] == {"qkv_proj.weight": [str(bit_sum(model.qkv_proj.weight)), 48, "float32"]}
    assert told["adapter"] == {} and told["boot"] == fingerprint.BOOT


@pytest.mark.parametrize("asked", [7, -1])
def test_the_slot_that_is_read_is_the_adapters(asked: int) -> None:
    told = describe(Fused(), Slots(), asked)["adapter"]
    both = torch.cat([torch.ones(8), torch.full((8,), 2.0)])
    assert told["layers.0.qkv_proj.lora_a"] == [str(bit_sum(both)), 16, "float32"]
    assert told["layers.0.qkv_proj.lora_b"] == [str(bit_sum(torch.full((8,), 3.0))), 8, "float32"]
    assert set(told) == {"layers.0.qkv_proj.lora_a", "layers.0.qkv_proj.lora_b"}


def test_an_adapter_that_is_not_there_has_no_weights() -> None:
    assert describe(Fused(), Slots(), 3)["adapter"] == {}


def test_the_extension_of_a_worker(tmp_path) -> None:
    class Worker(Fingerprint):
        class model_runner:
            @staticmethod
            def get_model():
                return Fused()

    worker = Worker()
    assert worker.sdar_boot() == {"boot": fingerprint.BOOT, "holder": ""}
    worker.sdar_hold("token")
    assert worker.sdar_boot() == {"boot": fingerprint.BOOT, "holder": "token"}
    assert set(worker.sdar_fingerprint()["weights"]) == {"qkv_proj.weight"}
    assert worker.sdar_sees(str(tmp_path)) == {"sees": True}
    assert worker.sdar_sees(str(tmp_path / "none")) == {"sees": False}


def test_a_summary_is_json_of_text_and_small_numbers() -> None:
    assert summarise([("a", torch.zeros(3))]) == {"a": ["0", 3, "float32"]}
