"""The recipe that lies in a run's folder, also of runs that earlier versions made."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdar_cli.errors import RecipeError, SdarWarning, without_credentials
from sdar_cli.recipe.load import ResolvedRecipe, load_recipe
from sdar_cli.recipe.yaml_reader import read_file

KEY = "tracking.uri"


def own_recipe(file: Path | str, overrides: Sequence[str] = (), **more: Any) -> ResolvedRecipe:
    """``load_recipe`` of such a file; a user or password in ``tracking.uri``, which earlier versions let stand there,
    is ``***``, as files of ours hold it, and a warning says so once.

    Raises:
        RecipeError: the file is damaged, its recipe is none of this version's, or an override is wrong.
    """
    file = Path(file)
    try:
        return load_recipe(str(file), overrides=overrides, **more)
    except RecipeError:
        found = _uri_with_credentials(file)
        if found is None:
            raise
    line, uri = found
    resolved = load_recipe(str(file), overrides=[f"{KEY}={uri}", *overrides], **more)
    warnings.warn(
        f"{file}:{line}: {KEY} holds a user or a password, and is read as {uri}: write that into the file, and "
        "give the whole in the variable MLFLOW_TRACKING_URI",
        SdarWarning,
        stacklevel=1,  # one place, so that Python shows it once
    )
    return resolved


def _uri_with_credentials(file: Path) -> tuple[int, str] | None:
    """Where it stands, and how it is shown."""
    document = read_file(file)
    tracking = document.value.get("tracking") if isinstance(document.value, dict) else None
    uri = tracking.get("uri") if isinstance(tracking, dict) else None
    shown = without_credentials(uri, alone=True) if isinstance(uri, str) else uri
    return None if shown == uri else (document.lines[KEY], shown)
