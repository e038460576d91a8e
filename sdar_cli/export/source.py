"""What of a run is exported: which weights, what lies under them, and where they came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sdar_cli.errors import RunError, UserError
from sdar_cli.models.adapter_folder import adapter_base, is_adapter
from sdar_cli.models.quantised import Quantised
from sdar_cli.paths import is_folder
from sdar_cli.reading import read_text
from sdar_cli.recipe.schema import Recipe
from sdar_cli.runs.resolve import ModelFolder
from sdar_cli.runs.store import RunFolder

LARGEST_CARD = 4 << 20
"""Bytes of another model's card."""


@dataclass(frozen=True, slots=True)
class Source:
    run: RunFolder
    recipe: Recipe
    path: str
    """A folder or hub id."""
    checkpoint: str
    """``base`` or ``step-N``."""
    step: int
    adapter: bool
    """Whether the weights are an adapter's."""
    quantised: Quantised | None
    """How the weights under the adapter, or of the base, were held."""

    @property
    def label(self) -> str:
        """What evaluations call these weights."""
        return "trained" if self.step else "base"

    @property
    def under(self) -> str | None:
        """The folder or hub id of what lies under the adapter; None where there is none."""
        return adapter_base(self.path) if self.adapter else None

    @property
    def origin(self) -> str | None:
        """The hub id of the model that training started from; None where it is another run, or made here."""
        path = self.recipe.model.path
        if self.recipe.init_from is not None:
            path = self.recipe.init_from
        if path is None or is_folder(path) or not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", path):
            return None
        return path


def find_source(target: RunFolder | ModelFolder, checkpoint: str) -> Source:
    """
    Args:
        checkpoint: ``last``, ``best``, ``base`` or a step.

    Raises:
        UserError: the target is a bare model.
        RunError: there is no such checkpoint, it is damaged, or there is no base yet.
    """
    if isinstance(target, ModelFolder):
        raise UserError(
            f"{target.name} is a bare model, which loads as it is, and no run that there would be something to tell "
            "of: name a run from `sdar runs ls`"
        )
    recipe = target.recipe()
    if checkpoint == "base":
        from sdar_cli.evaluation.evaluate import base_path

        path, step, name = base_path(target), 0, "base"
    else:
        found = target.wanted_checkpoint(checkpoint)
        if found is None:
            raise RunError(
                f"the run {target.name} has no checkpoint yet: wait for one, or export its base with --checkpoint base"
            )
        path, step, name = str(found.path), found.step, f"step-{found.step}"
    adapter = is_adapter(path)
    held = Quantised.beside(path) if adapter else (Quantised.asked(recipe.model) if step == 0 else None)
    return Source(target, recipe, path, name, step, adapter, held)


def license_of(source: Source) -> str | None:
    """The license that the card of the starting model states, where that card is on this machine."""
    from huggingface_hub import ModelCard, try_to_load_from_cache

    place = source.origin or source.recipe.model.path
    if place is None or source.recipe.init_from is not None:
        return None
    card = Path(place) / "README.md"
    if not card.is_file():
        kept = try_to_load_from_cache(place, "README.md") if source.origin else None
        if not isinstance(kept, str):
            return None
        card = Path(kept)
    try:
        stated = ModelCard(read_text(card, LARGEST_CARD)).data.license
    except Exception:  # somebody else's file: whatever is wrong with it, it states no license
        return None
    return stated if isinstance(stated, str) else None
