"""What autograd keeps of a real model's forward pass, counted by storage."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from transformers import PreTrainedModel


def kept_bytes(model: PreTrainedModel, rows: int, tokens: int, *, autocast: bool) -> int:
    """Bytes beside the parameters."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    ids = torch.randint(0, 32, (rows, tokens))
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), precision:
        base.model(input_ids=ids, use_cache=False)
    return sum(seen.values())
