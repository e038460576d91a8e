"""Writing the weights: whole, as ``save_pretrained`` does, or the adapter by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.export.source import Source
from sdar_cli.models.adapter_folder import ADAPTER, adapter_settings
from sdar_cli.models.folder import check_folder
from sdar_cli.models.load import load_tokenizer, quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sdar_cli.recipe.schema import Sampling

SHARD = "5GB"
"""Most that one file of weights holds."""
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Written:
    parameters: int
    """Tied weights counted once."""
    dtype: str


def write_whole(source: Source, folder: Path, dtype: str) -> Written:
    """Config, weights, generation settings and tokenizer of a plain model. Merged in float32, cast after."""
    import torch

    from sdar_cli.evaluation.evaluate import own_model
    from sdar_cli.models.merge import load_whole

    trust, own = source.recipe.model.trust_remote_code, own_model(source.run, source.path)
    tokenizer = load_tokenizer(source.path, trust_remote_code=trust, own=own)
    model = load_whole(source.path, trust_remote_code=trust, quantised=source.quantised, own=own)
    model = model.to(getattr(torch, dtype)).eval()
    model.config.use_cache = True  # training with checkpointed gradients switches it off
    _settle_generation(model, tokenizer, source.recipe.evaluation.sampling)
    with quiet():
        model.save_pretrained(folder, max_shard_size=SHARD)
    tokenizer.save_pretrained(folder)
    return Written(sum(weights.numel() for weights in model.parameters()), dtype)


def write_adapter(source: Source, folder: Path, dtype: str) -> Written:
    """PEFT's two files and the tokenizer; the base is named as the checkpoint names it."""
    import torch
    from safetensors.torch import load_file, save_file

    from sdar_cli.evaluation.evaluate import own_model

    check_folder(source.path)
    tensors = load_file(Path(source.path) / WEIGHTS)
    tensors = {name: tensor.to(getattr(torch, dtype)) for name, tensor in tensors.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    settings = adapter_settings(source.path)
    (folder / ADAPTER).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if source.quantised is not None:
        source.quantised.write(folder)
    trust, own = source.recipe.model.trust_remote_code, own_model(source.run, source.path)
    load_tokenizer(source.path, trust_remote_code=trust, own=own).save_pretrained(folder)
    return Written(sum(tensor.numel() for tensor in tensors.values()), dtype)


def _settle_generation(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sampling: Sampling) -> None:
    """Whoever generates samples as it was evaluated, and responses end where they ended in training."""
    from sdar_cli.rollout.policies import end_tokens

    ends = sorted(end_tokens(model, tokenizer))
    settings = model.generation_config
    settings.update(do_sample=True, **sampling.model_dump())
    settings.eos_token_id = ends if len(ends) > 1 else ends[0]
    if settings.pad_token_id is None:
        settings.pad_token_id = tokenizer.pad_token_id
