"""A study's space, and how to search it, from a YAML file.

space:
  gate.temperature: [0.1, 0.2, 1]
  distill.coef: log:1e-3..1e-1
  method: grpo, sdar
  train.steps: 50              # one value: an override of every run
search: tpe
cells: 12
seeds: 3                       # or [3, 7, 11]
prune: median                  # or {kind: median, startup: 6}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sdar_cli.recipe.layers import leaves
from sdar_cli.recipe.typed_file import read_typed
from sdar_cli.sweep.space import Axis, SpaceError, check_keys, read_value
from sdar_cli.sweep.spec import Pruner

PruneKind = Literal["none", "median", "halving", "hyperband"]


class SpaceFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    space: dict[str, Any] = Field(min_length=1)
    """Key → list of values, a range or comma list as on the command line, or one value. Keys are dotted or nested."""
    search: Literal["grid", "random", "tpe"] | None = None
    cells: int | None = Field(default=None, ge=1)
    seeds: int | list[int] | None = None
    prune: PruneKind | Pruner | None = None
    metric: Literal["success", "score"] | None = None
    sampler_seed: int | None = Field(default=None, ge=0, lt=2**32)
    note: str | None = None

    def split(self, source: str) -> tuple[list[Axis], list[str]]:
        """Axes, and the overrides of every run.

        Raises:
            RecipeError: a key or value that cannot be; the sentence names the file.
        """
        axes: list[Axis] = []
        fixed: list[str] = []
        try:
            for key, value in leaves(self.space):
                entry = read_value(key, value)
                axes.append(entry) if isinstance(entry, Axis) else fixed.append(entry)
            check_keys(axes, fixed)
        except SpaceError as error:
            raise SpaceError(f"{source}: {error}") from None
        return axes, fixed


def read_space(path: Path) -> SpaceFile:
    """
    Raises:
        RecipeError: the file cannot be read, or a key is wrong; a sentence each.
    """
    return read_typed(path, SpaceFile, write="'space:' and the axes below it", error=SpaceError, dotted_keys=True)
