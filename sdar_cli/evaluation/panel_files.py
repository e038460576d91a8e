"""Panels by name or file: the ones that come with the package, and the user's own."""

from __future__ import annotations

import os
from pathlib import Path

from sdar_cli.errors import PanelError
from sdar_cli.evaluation.panel import Panel
from sdar_cli.paths import is_file, is_folder, user_path
from sdar_cli.recipe.explain import nearest
from sdar_cli.recipe.load import shipped_folder


def shipped_panels() -> list[str]:
    """Names of the panels that come with the package."""
    return sorted(path.stem for path in (shipped_folder() / "panels").glob("*.json"))


def find_panel(reference: str) -> Panel:
    """The panel behind a shipped name or a path. Raises PanelError when there is none, or it is malformed."""
    return Panel.load(panel_file(reference))


def panel_file(reference: str) -> Path:
    """The file behind a shipped name or a path; a name wins over a file of that name in the current folder.

    Raises PanelError where neither exists; the sentence names the nearest panel.
    """
    if reference in shipped_panels():
        return shipped_folder() / "panels" / f"{reference}.json"
    path = user_path(reference)
    if reference and is_file(path):
        return path
    if is_folder(path) and reference:
        raise PanelError(f"the panel {reference} is a folder: give the file of a panel, or a name of `sdar panel ls`")
    if reference and os.path.lexists(path):  # a pipe, a link to nowhere: who reads it says what it is
        return path
    if path.suffix == ".json" or "/" in reference:
        raise PanelError(f"the panel {reference} does not exist: correct the path, or give a name from `sdar panel ls`")
    meant = nearest(reference, shipped_panels())
    hint = f"did you mean {meant!r}?" if meant else "choose one from `sdar panel ls`, or give the file of a panel"
    raise PanelError(f"there is no panel {reference!r}: {hint}")
