"""Configurations beside a model's weights: JSON objects with values that a model can have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdar_cli.errors import ModelError
from sdar_cli.reading import Missing, Unreadable, parse_json, read_text

LARGEST = 16 << 20
"""Bytes of a file of settings."""
SIZES = {
    "hidden_size": 1 << 20,
    "intermediate_size": 1 << 22,
    "num_hidden_layers": 1 << 12,
    "num_attention_heads": 1 << 14,
    "num_key_value_heads": 1 << 14,
    "head_dim": 1 << 16,
    "vocab_size": 1 << 24,
    "max_position_embeddings": 1 << 31,
}
"""Numbers of a ``config.json``, and the largest that each may be."""


NO_TOKEN = -1
"""What some configurations write where there is no token."""


def object_of(file: Path, *, there: bool = True, any_number: bool = True) -> dict[str, Any]:
    """A file's JSON object.

    Args:
        there: it must be; else an object without keys takes its place.
        any_number: numbers that are none of JSON's come as their text. Files of good models have some: NaN, Infinity,
            and what Transformers writes for a tokenizer without a longest text, 1e30 as an int.
    """
    try:
        value = parse_json(read_text(file, LARGEST), any_number=any_number)
        if not isinstance(value, dict):
            raise Unreadable("holds no JSON object")
    except Missing as error:
        if not there:
            return {}
        raise ModelError(f"{file} {error}: give a complete Hugging Face folder") from None
    except Unreadable as error:
        raise ModelError(f"{file} {error}: restore it from its source, or give another model") from None
    return value


def config_of(file: Path) -> dict[str, Any]:
    """A ``config.json``, whose sizes a model can have. Raises ModelError."""
    config = object_of(file)
    for part in parts_of(config, file):
        ends_of(part, file)
        for name, most in SIZES.items():
            value = part.get(name)
            for number in value if isinstance(value, list) else [value]:
                if number is not None and (type(number) is not int or not 1 <= number <= most):
                    raise ModelError(
                        f"{file} has a {name} that no model has ({short(number)}): restore it from its source"
                    )
        heads, width = part.get("num_attention_heads"), part.get("hidden_size")
        if type(heads) is int and type(width) is int and part.get("head_dim") is None and width < heads:
            raise ModelError(f"{file} has more attention heads than hidden_size: restore it from its source")
    return config


def ends_of(settings: Mapping[str, Any], file: Path) -> set[int]:
    """The tokens that end a turn as a configuration declares them; -1 is none.

    Raises:
        ModelError: ``eos_token_id`` is neither a token nor a list of some.
    """
    value = settings.get("eos_token_id")
    ends = value if isinstance(value, list) else [] if value is None else [value]
    if len(ends) > 1000 or any(type(end) is not int or not NO_TOKEN <= end < SIZES["vocab_size"] for end in ends):
        raise ModelError(f"{file} has an eos_token_id that is no token ({short(value)}): give its number, or a list")
    return {end for end in ends if end != NO_TOKEN}


def parts_of(config: Mapping[str, Any], file: Path) -> Sequence[Mapping[str, Any]]:
    """The configuration, and that of its language model where it has others too."""
    inner = config.get("text_config")
    if inner is None:
        return [config]
    if not isinstance(inner, dict):
        raise ModelError(f"{file} has a text_config that is no JSON object: restore it from its source")
    return [config, inner]


def short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:59] + "…"
