"""An environment's options from a command's own options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from sdar_cli.errors import RecipeError

Options = TypeVar("Options")


def checked(options: type[Options], values: Mapping[str, Any]) -> Options:
    """The options of these values, read as a recipe's are; RecipeError names the first that cannot be."""
    from pydantic import ValidationError

    try:
        return options.model_validate_json(json.dumps(dict(values)))  # type: ignore[attr-defined, no-any-return]
    except ValidationError as error:
        first = error.errors()[0]
        key = first["loc"][0] if first["loc"] else "generate"
        shown = str(first["input"])
        shown = shown if len(shown) <= 40 else f"{shown[:39]}…"
        raise RecipeError(f"--{key} cannot be {shown} ({first['msg'].lower()}): give another number") from None
