"""Skill files from their templates: ``{wash}`` becomes the station that the rulebook gives to ``wash``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sdar_envs.household.rulebook import Rulebook
from sdar_envs.household.words import VERBS


@cache
def templates(folder: Path) -> Mapping[str, str]:
    """File stem → markdown with slots, in the order of the names."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}


def fill_skills(folder: Path, rulebook: Rulebook, verbs: int = 2) -> dict[str, str]:
    """Skill name → markdown that states the rules of ``rulebook``, for the first ``verbs`` of each type."""
    unused = {verb for pair in VERBS.values() for verb in pair[verbs:]}
    filled = {}
    for name, text in templates(folder).items():
        for verb, station in rulebook.stations.items():
            if verb in unused:
                text = re.sub(rf" ?[^.\n]*\{{{verb}\}}\.", "", text)
            text = text.replace(f"{{{verb}}}", station)
        filled[name] = text
    return filled
