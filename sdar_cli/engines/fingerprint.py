"""What weights an engine holds, in a few numbers: read inside vLLM's workers, compared by ``proof.py``.

A server takes it by ``--worker-extension-cls sdar_cli.engines.fingerprint.Fingerprint``. The file needs torch
alone, so that it can be copied to a machine without this package.

The sum of a tensor is Σ h(bits) mod 2⁶⁴ over its elements, with h a fixed odd quadratic and h(0) = 0. So the sum
of fused tensors is that of their parts, the sum of shards that of the whole, and zero padding counts nothing.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable
from typing import Any

import torch

BOOT = secrets.token_hex(8)
"""Tells a restarted server from the one that was there before."""

_CHUNK = 1 << 22
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_MASK = (1 << 64) - 1


def bit_sum(tensor: torch.Tensor) -> int:
    """Σ h(bits) mod 2⁶⁴; equal for equal contents, whatever their order."""
    bits = tensor.detach().contiguous().view(-1).view(_BITS[tensor.element_size()])
    total = 0
    for start in range(0, bits.numel(), _CHUNK):
        x = bits[start : start + _CHUNK].to(torch.int64)
        x = x * 0x9E3779B97F4A7C1 + x * x * 0x2545F4914F6CDD1D
        total += int((x ^ (x >> 29)).sum())
    return total & _MASK


def summarise(named: Iterable[tuple[str, torch.Tensor]]) -> dict[str, list[Any]]:
    """Name → [sum, elements, dtype]; the sum as text, for JSON knows no integer of 64 bits."""
    return {
        name: [str(bit_sum(tensor)), tensor.numel(), str(tensor.dtype).removeprefix("torch.")] for name, tensor in named
    }


def fused_names(model: torch.nn.Module) -> dict[str, str]:
    """Part → whole, of the layers that vLLM fuses: ``q_proj`` → ``qkv_proj``."""
    mapping = getattr(model, "packed_modules_mapping", None) or {}
    return {part: whole for whole, parts in mapping.items() for part in parts if whole != part}


def describe(model: torch.nn.Module, manager: Any = None, adapter: int = 0) -> dict[str, Any]:
    """The fingerprint of one worker's model, and of an adapter in the slot that its layers read.

    Args:
        manager: vLLM's ``LoRAModelManager``, of an engine with LoRA.
        adapter: the adapter's id; 0: none is asked for; -1: the one that was loaded last.
    """
    weights = summarise((name.replace(".base_layer.", "."), p) for name, p in model.named_parameters())
    return {
        "boot": BOOT,
        "fused": fused_names(model),
        "weights": {n: s for n, s in weights.items() if ".lora_" not in n},
        "adapter": summarise(_slot(manager, adapter)) if manager is not None and adapter else {},
    }


def _slot(manager: Any, adapter: int) -> Iterable[tuple[str, torch.Tensor]]:
    slots = [number or 0 for number in manager.lora_index_to_id]
    slot = slots.index(max(slots) if adapter < 0 else adapter) if adapter < 0 or adapter in slots else None
    if slot is None or not slots[slot]:
        return
    for name, module in manager.modules.items():
        for part in ("lora_a", "lora_b"):
            stacked = getattr(module, f"{part}_stacked", ())
            stacked = stacked if isinstance(stacked, tuple | list) else (stacked,)
            if stacked:
                yield f"{name}.{part}", torch.cat([tensor[slot].flatten() for tensor in stacked])


def keep_weights_readable() -> None:
    """On a CPU vLLM packs each linear layer's weights and drops the original, which then can neither be read nor
    loaded again; here they stay, and torch multiplies."""
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        utils.dispatch_cpu_unquantized_gemm = _plain_linear


def _plain_linear(layer: torch.nn.Module, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear


class Fingerprint:
    """Mixed into vLLM's worker: methods that ``collective_rpc`` can call."""

    model_runner: Any

    def sdar_fingerprint(self, adapter: str = "0") -> dict[str, Any]:
        """What this worker holds (``describe``)."""
        runner = self.model_runner
        lora = getattr(runner, "lora_manager", None)
        return describe(runner.get_model(), lora._adapter_manager if lora else None, int(adapter))

    def sdar_boot(self) -> dict[str, str]:
        """Which process this is, and who gave it its weights last."""
        return {"boot": BOOT, "holder": getattr(self, "_sdar_holder", "")}

    def sdar_hold(self, holder: str) -> None:
        self._sdar_holder = holder

    def sdar_sees(self, path: str) -> dict[str, bool]:
        return {"sees": os.access(path, os.R_OK)}


def _in_worker() -> bool:
    return "vllm.v1.worker.worker_base" in sys.modules


if _in_worker():
    keep_weights_readable()
