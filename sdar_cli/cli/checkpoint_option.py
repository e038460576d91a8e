"""``--checkpoint`` of the commands that read a run's weights."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from sdar_cli.errors import UserError

CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", metavar="N|base|best|last", help="Which checkpoint of the run.")
]


def check_checkpoint(word: str) -> None:
    """Raises UserError for what names none."""
    if word not in ("base", "best", "last") and not re.fullmatch(r"[0-9]{1,18}", word):
        raise UserError(f"--checkpoint is {word!r}, but must be a step, 'base', 'best' or 'last': correct it")
