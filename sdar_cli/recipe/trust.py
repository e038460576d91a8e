"""Code that comes with a model (``model.trust_remote_code``): run where a person typed so, never for a file.

A flag or an override on the command line turns it on for this command and the processes that it starts. A recipe, an
overlay, a run's own recipe and a study's are files: where one asks for it and nobody typed it, that is a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RecipeError

if TYPE_CHECKING:
    from sdar_cli.recipe.layers import Layer

KEY = "model.trust_remote_code"
OPTION = "--trust-remote-code"
VARIABLE = "SDAR_TRUST_REMOTE_CODE"
"""1 in the environment of what a command starts after its own was told to trust."""
_SENTENCE = (
    f"{KEY} runs code that comes with the model, which no file may ask for: remove it, or give {OPTION} if you trust "
    "that model"
)


def ask() -> None:
    """The person at the command line trusts the model."""
    os.environ[VARIABLE] = "1"


def asked() -> bool:
    return os.environ.get(VARIABLE) == "1"


@contextmanager
def scope() -> Iterator[None]:
    """Within it, and no longer, a command's trust lasts."""
    before = os.environ.get(VARIABLE)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def wants(settings: Iterable[tuple[str, Any]]) -> bool:
    """Whether one of these dotted keys and values turns it on."""
    from sdar_cli.recipe.layers import layer_of

    layers = [layer_of(key, value, "") for key, value in settings]
    return any(layer.sets(KEY) and layer.values["model"]["trust_remote_code"] is not False for layer in layers)


def check_settings(settings: Iterable[tuple[str, Any]], place: str) -> None:
    """``check`` for settings that lie in a file and look like typed ones: a study's overrides and axes.

    Raises:
        RecipeError: one of them asks for what only a person may.
    """
    if not asked() and wants(settings):
        raise RecipeError(f"{place}: {_SENTENCE}")


def check(layers: Sequence[Layer]) -> None:
    """
    Raises:
        RecipeError: a file asks for what only a person may.
    """
    if asked() or any(layer.typed and layer.sets(KEY) for layer in layers):
        return
    for layer in layers:
        if layer.sets(KEY) and layer.values["model"]["trust_remote_code"] is True:
            raise RecipeError(f"{layer.place(KEY)}: {_SENTENCE}")
