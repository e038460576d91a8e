"""Before a training starts on a GPU: a sentence where the estimate says that it will not fit."""

from __future__ import annotations

from sdar_cli.recipe.estimate import Processes
from sdar_cli.recipe.fit import fit
from sdar_cli.recipe.gpus import GIB, Gpu
from sdar_cli.recipe.schema import Recipe

CLEARLY = 1.1
"""How much more than is free must be needed, as estimates err."""


def too_large(recipe: Recipe, processes: Processes, device: int = 0) -> str | None:
    """A warning for the process that shall use this GPU; None where there is none, or it seems to fit."""
    import torch

    if not torch.cuda.is_available() or device >= torch.cuda.device_count():
        return None
    free, total = torch.cuda.mem_get_info(device)
    return warning(recipe, processes, free, total)


def warning(recipe: Recipe, processes: Processes, free: int, total: int) -> str | None:
    """The sentence for a GPU of so many bytes."""
    found = fit(recipe, Gpu("this GPU", total), processes)
    if found is None or found.memory.peak <= CLEARLY * free:
        return None
    needed = (
        f"this run may need {found.memory.peak / GIB:.0f} GiB of GPU memory at once and {free / GIB:.0f} GiB are free"
    )
    remedy = f"set {found.remedy}" if found.remedy else "see with nvidia-smi what else uses the GPU"
    return f"warning: {needed} (an estimate, `--dry-run` shows its parts): if it fails, {remedy}"
