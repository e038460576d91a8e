"""``--trust-remote-code``, wherever a command loads a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.render import note
from sdar_cli.recipe import trust

if TYPE_CHECKING:
    from pathlib import Path

    from sdar_cli.recipe.schema import Recipe


def _ask(given: bool) -> bool:
    if given:
        trust.ask()
    return given


TrustOption = Annotated[
    bool, typer.Option(trust.OPTION, callback=_ask, help="Run code that comes with the model, which no file turns on.")
]


def as_option(given: bool) -> dict[str, tuple[str, Any]]:
    """The recipe's key that the option sets, where it was given."""
    return {trust.KEY: (trust.OPTION, True)} if given else {}


def announce(recipe: Recipe, folder: Path | str | None = None) -> None:
    """Say that a model's own code may run; processes that this one starts may run it too.

    Args:
        folder: of a run or of weights, from which code may be run too.
    """
    if recipe.model.trust_remote_code:
        trust.ask()
        named = recipe.init_from or recipe.model.path
        also = "" if folder is None or str(folder) == named else f", or lies in {folder},"
        note(f"code that comes with the model {named}{also} may run, as {trust.OPTION} says")
