"""What a run needs beside the packages that every run needs: the extras that its recipe and ``--dist`` ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import util
from typing import TYPE_CHECKING

from sdar_cli.errors import UserError
from sdar_cli.launch import dist
from sdar_cli.models import quantised

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe


def check(recipe: Recipe, how: dist.Dist) -> None:
    """Raises UserError for the first that is lacking; the sentence names the remedy."""
    for look in _looks(recipe, how):
        look()


def lacking(recipe: Recipe, how: dist.Dist) -> tuple[str, ...]:
    """A sentence for each that is not installed. Imports none of them."""
    found = []
    for look in _looks(recipe, how):
        try:
            look()
        except UserError as error:
            found.append(str(error))
    return tuple(found)


def _looks(recipe: Recipe, how: dist.Dist) -> Iterator[Callable[[], None]]:
    if how == "zero3":
        yield dist.check_zero3
    if recipe.model.lora is not None and recipe.model.lora.quantise is not None:
        yield quantised.check_installed
    if recipe.engine.kind == "vllm" and recipe.engine.mode == "server":
        from sdar_cli.engines.make import check_key

        yield lambda: check_key(recipe)
    if recipe.engine.kind == "vllm" and util.find_spec("vllm") is None:  # else torch would be imported
        from sdar_cli.engines.make import check_engine

        yield lambda: check_engine(recipe)
