"""Cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import re
from typing import Any

from sdar_cli.visible import visible

_BEGINS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""What a formula begins with; the wide forms do where input is Japanese."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def cell(value: Any) -> Any:
    """A text, its hidden characters made visible, with an apostrophe where it would be a formula.

    What is a number stays one, and what is no text stays as it is.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    begins = text.lstrip().startswith(_BEGINS) and not _NUMBER.fullmatch(text)
    return f"'{text}" if begins else text
