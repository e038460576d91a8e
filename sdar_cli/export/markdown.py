"""Texts of recipes, environments and models as Markdown that shows them and does nothing else."""

from __future__ import annotations

import re

from sdar_cli.compare.render.markdown import escape
from sdar_cli.visible import visible

__all__ = ["code", "escape", "fenced"]


def fenced(text: str, kind: str = "text") -> str:
    """A text as a block of code, whatever is in it."""
    text = visible(text).removesuffix("\n")
    fence = "`" * max(3, 1 + _ticks(text))
    return f"{fence}{kind}\n{text}\n{fence}"


def code(text: str) -> str:
    """A text on one line as code within a sentence or a cell of a table."""
    text = visible(" ".join(text.split())).replace("|", "\u2502")  # a bar would end the cell, in code too
    ticks = "`" * (1 + _ticks(text))
    return f"{ticks}{text}{ticks}" if len(ticks) == 1 and text else f"{ticks} {text} {ticks}"


def _ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
