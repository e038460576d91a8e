"""A new run's folder: made aside with all that belongs in it, then moved to its name."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import RunError
from sdar_cli.evaluation.files import write_bytes, write_json
from sdar_cli.recipe.dump import dump, recipe_digest
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.runs.disk import disk, make_folder, sync_folder, sync_tree
from sdar_cli.runs.state import RunState, git_commit, now, package_versions

if TYPE_CHECKING:
    from sdar_cli.evaluation.panel import Panel

NEW = ".new"
"""Folder of the runs folder in which others are made; nothing lists what is in it."""
FORGOTTEN = 3600.0
"""Seconds after which nobody is making a folder any more."""
_ELSEWHERE = ", or give another folder with --runs"


def check_name(name: str) -> None:
    """Raises RunError for what no run can be called."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name):
        raise RunError(f"{name!r} cannot name a run: use letters, digits, '.', '_' and '-'")
    if name == "latest":
        raise RunError("'latest' cannot name a run, as it means the newest one: choose another name")


def make_run(root: Path, resolved: ResolvedRecipe, name: str | None, panel: Panel | None) -> Path:
    """A new run's folder under ``root``, with all that belongs to one that has not begun.

    Raises:
        RunError: the name is taken or unusable, or ``root`` cannot be written.
        RunFailed: the disk is full or broken.
    """
    if name is not None:
        check_name(name)
    try:
        with disk(root, "a new run", _ELSEWHERE):
            make_folder(root.absolute() / NEW)
            _sweep(root / NEW)
            return _make(root.absolute(), resolved, name, panel)
    except OSError as error:
        raise RunError(
            f"the runs folder {root} cannot be written ({error.strerror}): give another with --runs"
        ) from None


def _make(root: Path, resolved: ResolvedRecipe, name: str | None, panel: Panel | None) -> Path:
    while True:
        final = root / (name or _new_name(resolved.recipe.name))
        beside = root / NEW / f"{final.name}-{secrets.token_hex(4)}"
        try:
            if not os.path.lexists(final):
                _fill(beside, final.name, resolved, panel)
                os.rename(beside, final)
                sync_folder(root)
                return final
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        if name is not None:
            raise RunError(f"there is a run {name!r} in {root} already: choose another name")


def _new_name(recipe_name: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", recipe_name).strip("-.")[:60] or "run"
    return f"{slug}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _fill(path: Path, name: str, resolved: ResolvedRecipe, panel: Panel | None) -> None:
    recipe = resolved.recipe
    for folder in (path, path / "checkpoints", path / "evaluations"):
        folder.mkdir()
    write_bytes(path / "recipe.yaml", dump(recipe).encode())
    if panel is not None:
        panel.save(path / "panel.json")
    state = RunState(
        name=name,
        recipe=recipe.name,
        recipe_digest=recipe_digest(recipe),
        settings=recipe.model_dump(mode="json"),
        origins=resolved.origins,
        steps=recipe.train.steps,
        started=now(),
        versions=package_versions(),
        git_commit=git_commit(),
    )
    write_json(path / "run.json", state.model_dump(mode="json"))
    sync_tree(path)


def _sweep(new: Path) -> None:
    """Remove what processes that were killed in here have left."""
    for path in new.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(path, ignore_errors=True)
