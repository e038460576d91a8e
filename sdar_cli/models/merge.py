"""An adapter and what is under it as one set of plain weights, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.models.adapter_folder import adapter_settings, is_adapter
from sdar_cli.models.load import load_adapter, load_model, load_tokenizer, quiet
from sdar_cli.models.quantised import Quantised, is_quantised, whole

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel


def load_whole(
    path: str, *, trust_remote_code: bool = False, quantised: Quantised | None = None, own: str | None = None
) -> PreTrainedModel:
    """The weights of a folder or hub id as a plain model: an adapter is merged, four bits are written out.

    Args:
        quantised: how weights without an adapter are held; an adapter's folder says it itself.
        own: see ``load_model``.

    Raises:
        ModelError: they cannot be found or read, or bitsandbytes is missing.
    """
    if not is_adapter(path):
        model = load_model(path, trust_remote_code=trust_remote_code, quantised=quantised)
        return _written_out(model) if quantised is not None else model
    model = load_adapter(path, trust_remote_code=trust_remote_code, prepare=_written_out, own=own)
    return model.merge_and_unload()


def serves_as_it_is(path: str, quantised: Quantised | None = None) -> bool:
    """Whether vLLM makes the policy of a folder: it knows whole weights, and plain adapters over whole weights."""
    if quantised is not None or Quantised.beside(path) is not None:
        return False
    if not is_adapter(path):
        return True
    return not adapter_settings(path).get("use_dora")


def merged_adapter(path: str, out: Path, *, trust_remote_code: bool = False, own: str | None = None) -> Path:
    """Write a LoRA folder as full weights, so that RL can start from it with an adapter of its own."""
    load_whole(path, trust_remote_code=trust_remote_code, own=own).save_pretrained(out)
    load_tokenizer(path, trust_remote_code=trust_remote_code, own=own).save_pretrained(out)
    return out


def merged_weight(layer: Module) -> Tensor:
    """What one of PEFT's LoRA layers multiplies by, adapter included; the layer stays as it is."""
    weight = whole(layer.base_layer.weight).float()
    for own in layer.active_adapters:
        delta = layer.get_delta_weight(own)
        magnitude = layer.lora_magnitude_vector[own].weight if own in layer.lora_magnitude_vector else None
        weight = weight + delta
        if magnitude is not None:  # DoRA, arXiv:2402.09353, equation 5
            weight = weight * (magnitude / weight.norm(dim=1)).unsqueeze(1)
    return weight


def _written_out(model: PreTrainedModel) -> PreTrainedModel:
    import torch

    if not is_quantised(model):
        return model
    with quiet():
        model = model.dequantize(torch.float32)
    model.is_loaded_in_4bit = False
    return model
