"""What ``sdar data`` makes of a recipe's options is what the recipe makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.cli.data.options import checked
from sdar_cli.errors import RecipeError
from sdar_envs.base import Options


class Listed(Options):
    """Of kinds that JSON has no word for."""

    names: tuple[str, ...] = ()
    folder: Path | None = None
    size: int = 1


def test_options_are_read_as_a_recipes_are() -> None:
    assert checked(Listed, {"names": ["a", "b"], "folder": "x"}) == Listed(names=("a", "b"), folder=Path("x"))


@pytest.mark.parametrize(("key", "value"), [("size", "2"), ("size", True), ("names", "a"), ("other", 1)])
def test_what_cannot_be_is_named(key: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"^--{key} cannot be {value} "):
        checked(Listed, {key: value})
