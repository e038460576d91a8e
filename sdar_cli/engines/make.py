"""The engine that a recipe asks for, around a trainer."""

from __future__ import annotations

import atexit
import importlib.util
import os
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.engines.engine import Engine
from sdar_cli.engines.patience import Patience
from sdar_cli.errors import ModelError, RecipeError, UserError
from sdar_cli.paths import user_path
from sdar_cli.recipe.schema import Recipe
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from sdar_cli.engines.nccl import NcclLink
    from sdar_cli.training.trainer import SDARTrainer

CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Sizes of a head that vLLM's attention has on a CPU; others end its process in the first request."""


def engine_start(recipe: Recipe) -> AbstractContextManager[None]:
    """Around the making of TRL's trainer, which starts a colocated vLLM."""
    if recipe.engine.kind == "vllm" and recipe.engine.mode == "colocate":
        from sdar_cli.engines.colocate import starting

        return starting(recipe)
    return nullcontext()


def make_engine(trainer: SDARTrainer, folder: Path, longest: int, say: Callable[[str], None]) -> Engine | None:
    """What samples for the trainer; None: Hugging Face's ``generate``.

    Args:
        folder: for what goes to an engine by disk, unless the recipe names one.
        longest: tokens of the longest prompt with its response.
    """
    recipe = trainer.recipe
    if recipe.engine.kind != "vllm":
        return None
    from sdar_cli.engines.weights import TrainerSource

    own = recipe.engine
    source = TrainerSource(trainer)
    ends = set(trainer.eos_token_ids)
    about = {
        "sampling": recipe.rollout.sampling,
        "max_response_tokens": recipe.rollout.max_response_tokens,
        "ends": ends,
        "hot": own.lora == "hot",
        "proof": own.proof,
    }
    if own.mode == "colocate":
        from sdar_cli.engines.colocate import ColocatedEngine

        rank = trainer.accelerator.process_index
        engine: Engine = ColocatedEngine(trainer.vllm_generation, source, folder=folder / f"rank-{rank}", **about)
    else:
        from sdar_cli.engines.client import Server
        from sdar_cli.engines.server import ServerEngine

        engine = ServerEngine(
            [Server(url, key=os.environ.get("VLLM_API_KEY"), timeout=own.request_timeout) for url in own.urls],
            source,
            folder=user_path(own.sync_folder) / folder.parent.name if own.sync_folder else folder,
            patience=Patience(own.patience),
            link=_link(trainer, say),
            longest=longest,
            rank=1 if recipe.model.lora is None else recipe.model.lora.rank,
            neighbours=recipe.rollout.group,
            vocabulary=trainer.accelerator.unwrap_model(trainer.model).config.get_text_config().vocab_size,
            say=say,
            **about,
        )
    end = partial(_close, weakref.ref(engine))
    ranks.before_leaving(end)
    atexit.register(end)
    return engine


def _close(engine: weakref.ref[Engine]) -> None:
    if (alive := engine()) is not None:
        alive.close()


def _link(trainer: SDARTrainer, say: Callable[[str], None]) -> NcclLink | None:
    """NCCL where it is asked for, or where this process could use it."""
    check_key(trainer.recipe)
    wish = trainer.recipe.engine.sync
    able = trainer.accelerator.device.type == "cuda" and importlib.util.find_spec("vllm") is not None
    if wish == "folder" or (wish == "auto" and not able):
        return None
    if not able:
        raise RecipeError(
            "engine.sync=nccl needs a GPU and vLLM in the training process: set engine.sync=folder, or install "
            "'sdar[vllm]' on a GPU machine"
        )
    if wish == "auto" and os.environ.get("VLLM_API_KEY"):
        say("VLLM_API_KEY is set, which TRL's client for NCCL does not send: weights go through the folder")
        return None
    from sdar_cli.engines.nccl import NcclLink

    return NcclLink(trainer.accelerator.device, required=wish == "nccl")


def check_key(recipe: Recipe) -> None:
    """Raises UserError where weights shall go by NCCL to a server with a key: TRL's client, which brings them, asks
    ``/v1/models`` while it is made, and can be given no header."""
    own = recipe.engine
    if own.kind == "vllm" and own.mode == "server" and own.sync == "nccl" and os.environ.get("VLLM_API_KEY"):
        raise UserError(
            "engine.sync=nccl cannot be used with VLLM_API_KEY, which TRL's client for NCCL does not send: set "
            "engine.sync=folder, or unset the key here and at the server"
        )


def check_engine(recipe: Recipe, heads: int | None = None) -> None:
    """Raises RecipeError for an engine that is not installed, and ModelError where it cannot run the model.

    Args:
        heads: size of an attention head.
    """
    if recipe.engine.kind == "vllm" and recipe.engine.mode == "colocate":
        check_installed("engine.kind=vllm", "set engine.kind=hf", heads)


def check_installed(wish: str, instead: str, heads: int | None) -> None:
    """``check_engine`` in the words of whoever asks for vLLM."""
    if importlib.util.find_spec("vllm") is None:
        raise RecipeError(f"{wish} needs vLLM, which is not installed: pip install 'sdar[vllm]', or {instead}")
    import torch

    if heads is not None and heads not in CPU_HEADS and not torch.cuda.is_available():
        raise ModelError(
            f"vLLM on a CPU has no attention for heads of {heads} (it has {', '.join(map(str, CPU_HEADS[:4]))}, …): "
            f"choose model.tiny.width and model.tiny.heads so that their quotient is one of them, or {instead}"
        )


def head_size(config: PretrainedConfig) -> int | None:
    """Size of a model's attention heads, where its configuration says it."""
    text = config.get_text_config()
    heads = getattr(text, "num_attention_heads", None)
    return getattr(text, "head_dim", None) or (text.hidden_size // heads if heads else None)
