"""The base: the weights that RL starts from, made, warmed up or found."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.models.adapter_folder import is_adapter
from sdar_cli.models.folder import check_folder
from sdar_cli.models.merge import merged_adapter
from sdar_cli.models.quantised import Quantised, check_installed
from sdar_cli.rollout.recorded import check_recording
from sdar_cli.runs.disk import disk
from sdar_cli.runs.manifest import damage, entries, is_marked
from sdar_cli.runs.resolve import ModelFolder, resolve_run
from sdar_cli.runs.whole import TORN, set_aside
from sdar_cli.training.events import Listener
from sdar_cli.training.warmup_cache import WarmBase, warm_base

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Model, Recipe
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Base:
    path: str
    """A Hugging Face folder or a hub id."""
    warmup: WarmBase | None = None


def check_start(recipe: Recipe, root: Path) -> None:
    """Look, before a run is made, whether the run, folder or recording to start from is there.

    Raises:
        RunError: ``init_from`` names no run or model.
        ModelError: a local path is no model, or bitsandbytes is missing where it is needed.
        UserError: ``rollout.replay`` cannot be read.
    """
    check_recording(recipe)
    path = recipe.model.path if recipe.init_from is None else init_folder(recipe.init_from, root)
    if path is not None:
        check_folder(path)
    if Quantised.asked(recipe.model) is not None:
        check_installed()


def prepare_base(workshop: Workshop, run: RunFolder, root: Path, listener: Listener) -> Base:
    """Make or find the base of a run.

    What was made (a tiny model, a warm-up, a merged adapter) is copied into the run's own folder, so the run
    can be evaluated and resumed when caches are gone; a model that was merely named stays where it is. A copy that
    is damaged is set aside and made again.

    Raises:
        RunFailed: the disk is full, or what was made again has other weights than what was damaged.
    """
    recipe = workshop.recipe
    if _is_there(run, listener):
        return Base(str(run.base))
    if recipe.init_from is not None:
        return Base(_started(recipe, run, root))
    if recipe.warmup is not None:
        warm = warm_base(recipe, workshop.environment, workshop.bank, listener)
        _keep(warm.folder, run)
        return Base(str(run.base), warm)
    return Base(_full_weights(recipe.model.path, recipe.model, run))


def init_folder(reference: str, root: Path) -> str:
    """The weights behind ``init_from``: a run's latest checkpoint, or a Hugging Face folder or id."""
    target = resolve_run(reference, root)
    if isinstance(target, ModelFolder):
        return str(target.path or target.reference)
    checkpoint = target.latest_checkpoint()
    if checkpoint is not None:
        return str(checkpoint.path)
    raise RunError(f"the run {target.name} has no checkpoint yet: name a run that has trained, or a model folder")


def _started(recipe: Recipe, run: RunFolder, root: Path) -> str:
    """Whole weights of ``init_from``; a run that it names says in its recipe whose code its adapter may need."""
    from sdar_cli.evaluation.evaluate import own_model

    path, target = init_folder(recipe.init_from, root), resolve_run(recipe.init_from, root)
    own = None if isinstance(target, ModelFolder) else own_model(target, path)
    return _full_weights(path, recipe.model, run, recipe.model.path or own)


def _full_weights(path: str, model: Model, run: RunFolder, own: str | None = None) -> str:
    """The path itself; for LoRA weights, a merged copy in the run's folder.

    Args:
        own: see ``own_model``; by default the recipe's model.
    """
    if not is_adapter(path):
        return path
    trust, own = model.trust_remote_code, own or model.path
    with disk(run.path, "the base"), tempfile.TemporaryDirectory(dir=run.path, prefix=".base-merging") as scratch:
        _keep(merged_adapter(path, Path(scratch), trust_remote_code=trust, own=own), run)
    return str(run.base)


def _is_there(run: RunFolder, listener: Listener) -> bool:
    """Whether the run has its base, every byte as it was written; one of before there were manifests is believed."""
    if not run.base.is_dir():
        return False
    if not is_marked(run.base) or (what := damage(run.base, deep=True)) is None:
        return True
    with disk(run.path, "the name of a damaged base"):
        listener.message(f"the base {what} and is kept as {set_aside(run.base)}: it is made again")
    return False


def _keep(source: Path, run: RunFolder) -> None:
    with run.saving_base() as beside:
        shutil.copytree(source, beside, dirs_exist_ok=True)
        for torn in run.path.glob(f"{TORN}base*"):
            before, now = _weights(entries(torn)), _weights(entries(beside, anew=True))
            if before and before != now:
                raise RunFailed(
                    f"the base of {run.name} was damaged, and what was made in its place has other weights than "
                    f"{torn / 'manifest.json'} tells of: restore that folder as {run.base}, or start another run"
                )


def _weights(files: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in files.items() if name.endswith(".safetensors")}
