"""``dotted.key=value`` on the command line."""

from __future__ import annotations

import re
from typing import Any

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.yaml_reader import parse

_KEY = re.compile(r"[^\s=.]+(?:\.[^\s=.]+)*\Z")


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``gate.beta=5`` into the key and its value, read as YAML.

    Raises:
        RecipeError: there is no ``=``, the key is not dotted words, or the value is not YAML.
    """
    key, separator, value = text.partition("=")
    key = key.strip()
    if not separator:
        raise RecipeError(f"the override {text!r} has no value: write key=value, for example gate.beta=5")
    if not _KEY.match(key):
        raise RecipeError(f"the override {text!r} has no readable key: write dotted words, for example gate.beta=5")
    return key, parse(value, f"the override {key}").value
