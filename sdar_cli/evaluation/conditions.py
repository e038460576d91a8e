"""What shapes an episode beside the recipe's own settings: options that no panel's hash holds, and facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdar_envs.base import Environment


def episode_options(environment: Environment) -> dict[str, Any]:
    """The options that shape an episode without changing which tasks there are, as plain data."""
    options = environment.options
    return options.model_dump(mode="json", include=set(options.beside_tasks) - environment.beside_episodes)


def in_words(facts: Mapping[str, str]) -> str:
    """``products 300, title matcher words``."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What both know and say otherwise, sorted; an entry that one of them lacks is unknown there."""
    return sorted(name for name in first.keys() & second.keys() if first[name] != second[name])


def options_of(content: Any) -> dict[str, Any]:
    """Options as a file holds them. Raises ValueError for anything but a mapping of names."""
    if not isinstance(content, dict):
        raise ValueError("its options are no mapping")
    return content


def facts_of(content: Any) -> dict[str, str]:
    """Facts as a file holds them. Raises ValueError for anything but texts by name."""
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise ValueError("its facts are no texts by name")
    return content
