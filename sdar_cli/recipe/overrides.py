"""``dotted.key=value`` on the command line."""

from __future__ import annotations

import re
from typing import Any

from sdar_cli.errors import RecipeError, without_credentials
from sdar_cli.recipe.yaml_reader import parse

LONGEST = 1 << 16
"""Letters of an override."""
_KEY = re.compile(r"[^\s=.]{1,200}(?:\.[^\s=.]{1,200}){0,23}\Z")


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``gate.beta=5`` into the key and its value, read as YAML.

    Raises:
        RecipeError: there is no ``=``, the key is not dotted words (at most 24), or the value is not YAML.
    """
    if len(text) > LONGEST:
        raise RecipeError(f"the override {shown(text[:60])!r}… has {len(text)} letters: put what is long into a file")
    key, separator, value = text.partition("=")
    key = key.strip()
    if any("\ud800" <= letter <= "\udfff" for letter in key):
        raise RecipeError(f"the override {shown(text)!r} is not UTF-8 text: type it again, or put it into a file")
    if not separator:
        raise RecipeError(f"the override {shown(text)!r} has no value: write key=value, for example gate.beta=5")
    if not _KEY.match(key) or _is_address(key, value):
        raise RecipeError(
            f"the override {shown(text)!r} has no readable key: write dotted words, for example gate.beta=5"
        )
    return key, parse(value, f"the override {without_credentials(key)}", at=key).value


def shown(text: str) -> str:
    """An override as messages show it: without credentials, wherever they stand."""
    key, separator, value = text.partition("=")
    if not separator or _is_address(key, value):
        return without_credentials(text, alone=True)
    return f"{without_credentials(key, alone=True)}={without_credentials(value, alone=True)}"


def _is_address(key: str, value: str) -> bool:
    """Whether a URL was typed without a key, and its ``=`` is a letter of it."""
    return "://" in key or (":" in key and "@" in f"{key}{value}")
