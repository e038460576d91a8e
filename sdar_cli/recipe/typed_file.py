"""A YAML file that is one typed value: a cluster's profile, a study's space."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sdar_cli.errors import UserError, several
from sdar_cli.recipe.explain import schema_keys, sentences
from sdar_cli.recipe.yaml_reader import read_file

M = TypeVar("M", bound=BaseModel)


def read_typed(
    path: Path, kind: type[M], *, write: str, error: type[UserError] = UserError, dotted_keys: bool = False
) -> M:
    """
    Args:
        write: what a file without keys lacks, in an error's words.
        error: raised where a key or value is wrong, one sentence each with file and line.

    Raises:
        RecipeError: the file cannot be read, or is no YAML.
    """
    document = read_file(path, dotted_keys=dotted_keys)

    def where(dotted: str) -> str:
        line = document.lines.get(dotted.split(".")[0])
        return str(path) if line is None else f"{path}:{line}"

    if not isinstance(document.value, dict):
        raise error(f"{path} holds no keys and values: write {write}")
    try:
        return kind.model_validate(document.value)
    except ValidationError as wrong:
        raise error(several(sentences(wrong, where, schema_keys(kind)))) from None
