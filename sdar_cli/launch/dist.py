"""How the weights of one run lie on its processes.

``ddp``: whole on each. ``fsdp2``: each layer in parts (torch's ``fully_shard``, through accelerate's plugin), put
together layer by layer in training, and as a whole while episodes are played. ``zero3``: DeepSpeed's stage 3.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from sdar_cli.errors import UserError

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe

Dist = Literal["ddp", "fsdp2", "zero3"]
DEFAULT: Dist = "ddp"

FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",  # checkpoints are Hugging Face folders, whoever wrote them
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    "FSDP_OFFLOAD_PARAMS": "false",
}
"""What accelerate reads in the place of a configuration file."""


ZERO3 = {
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DEEPSPEED_ZERO3_INIT": "false",  # models are loaded whole, and divided afterwards
}
"""The same of DeepSpeed; its own settings are ``training.zero3.CONFIG``."""


def apply(dist: Dist) -> None:
    """Tell accelerate, before it is imported."""
    if dist == "fsdp2":
        os.environ.update(FSDP2)
    if dist == "zero3":
        os.environ.update(ZERO3)


def in_use() -> Dist:
    """What this process trains with."""
    if "ACCELERATE_USE_FSDP" in os.environ:
        return "fsdp2"
    return "zero3" if "ACCELERATE_USE_DEEPSPEED" in os.environ else "ddp"


def check_recipe(dist: Dist, recipe: Recipe) -> None:
    """Raises UserError for a profile that cannot be used with this recipe, whatever is installed."""
    if dist != "ddp" and recipe.model.lora is not None and recipe.model.lora.quantise is not None:
        raise UserError(f"--dist {dist} divides no weights of four bits: use --dist ddp, or model.lora.quantise=null")
    if dist != "ddp" and recipe.needs_teacher and recipe.distill.divergence != "sampled":
        raise UserError(
            f"--dist {dist} has no whole head for distill.divergence={recipe.distill.divergence}: set it to sampled"
        )
    if dist != "ddp" and recipe.engine.kind == "vllm" and recipe.engine.lora == "hot":
        raise UserError(
            f"--dist {dist} divides the adapter, and engine.lora=hot needs it whole on every process: use --dist ddp, "
            "or engine.lora=merge"
        )


def check_zero3() -> None:
    """Raises UserError where DeepSpeed is not installed."""
    from importlib.util import find_spec

    if find_spec("deepspeed") is None:
        raise UserError(
            "--dist zero3 needs DeepSpeed, which is not installed: pip install 'sdar[zero3]', or use --dist fsdp2, "
            "which divides weights, gradients and moments alike"
        )


def accelerate_words(dist: Dist, nproc: int) -> list[str]:
    """Options of ``accelerate launch`` for the processes of one machine."""
    words = ["--multi_gpu", "--num_machines=1", f"--num_processes={nproc}", "--mixed_precision=no"]
    return [*words, "--dynamo_backend=no"]
