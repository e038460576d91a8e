"""The official games on disk: ``<data>/json_2.1.1/{train,valid_seen,valid_unseen}/…/game.tw-pddl``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.paths import is_folder, user_path
from sdar_cli.reading import Unreadable, inside, open_regular, read_json, walk
from sdar_envs.alfworld.vetting import GAME_FILE, LARGEST_FILE
from sdar_envs.alfworld.world import TASK_TYPES
from sdar_envs.base import Task

SPLITS = ("train", "valid_seen", "valid_unseen")
GAMES_FOLDER = "json_2.1.1"
_SOLVABLE = re.compile(rb'"solvable": *(true|false|null)')
_TAIL = 65536
_MOST_FILES = 1_000_000
"""Files and folders of a split, whatever they are."""
_LARGEST_TRIAL = 16 << 20
"""Bytes of a ``traj_data.json``; those of the release have up to 1 MB, with pictures' names and plans."""


def data_folder(data: str | None) -> Path:
    """The folder that holds ``json_2.1.1``: the option, ``ALFWORLD_DATA``, or the package's own default."""
    chosen = data or os.environ.get("ALFWORLD_DATA") or "~/.cache/alfworld"
    folder = user_path(os.path.expandvars(chosen))
    return folder.parent if folder.name == GAMES_FOLDER else folder


def splits(data: str | None) -> tuple[str, ...]:
    """The splits that are there; all of them where none is, so that asking for one names the remedy."""
    return _present(data_folder(data) / GAMES_FOLDER) or SPLITS


def tasks(data: str | None, split: str) -> list[Task]:
    """All solvable games of a split, sorted by their path, which is the task's id."""
    root = data_folder(data) / GAMES_FOLDER
    if not is_folder(root / split):
        if there := _present(root):
            raise EnvironmentSetupError(
                f"the official ALFWorld games at {root} have {' and '.join(there)}, but no {split}: "
                f"run `sdar data alfworld --fetch --data {root.parent}`, or copy that split's folder there"
            )
        raise EnvironmentSetupError(
            f"the official ALFWorld games are not at {root / split}: run `sdar data alfworld --fetch`, "
            "give the folder that holds json_2.1.1 with --data or ALFWORLD_DATA, "
            "or set environment.options.games=generated"
        )
    found = []
    for file in sorted(_games(root / split)):
        path = file.parent.relative_to(root).as_posix()
        # As upstream: tasks with a movable receptacle or a sliced thing are not played.
        if "movable" in path or "Sliced" in path or not _solvable(file):
            continue
        found.append(Task(path, _task_type(file), data={"file": str(file)}))
    if not found:
        raise EnvironmentSetupError(
            f"{root / split} holds no {GAME_FILE}: fetch the games with `sdar data alfworld --fetch`"
        )
    return found


def _present(root: Path) -> tuple[str, ...]:
    return tuple(split for split in SPLITS if is_folder(root / split))


def _games(folder: Path) -> Iterator[Path]:
    """The game files below a split's folder, which may itself be a link; nothing in it may lead out of it."""
    try:
        for entry in walk(folder, _MOST_FILES):
            if entry.is_symlink() and os.path.isdir(entry.path):
                raise EnvironmentSetupError(f"{entry.path} is a link to a folder: copy its games there")
            if entry.name == GAME_FILE:
                yield _inside(Path(entry.path), folder)
    except Unreadable as error:
        raise EnvironmentSetupError(f"{folder} {error}: check its permissions, and what lies there") from None


def _inside(file: Path, folder: Path) -> Path:
    if not str(file.relative_to(folder)).isprintable():
        raise EnvironmentSetupError(f"{str(file)!a} has letters in its name that cannot be printed: rename its folder")
    try:
        inside(file, folder)
    except Unreadable as error:
        raise EnvironmentSetupError(f"{file} {error}: put the game itself there") from None
    return file


def _solvable(file: Path) -> bool:
    """Read off the end of the file, where the flag stands, since a game is 130 kB and there are thousands."""
    try:
        with open_regular(file) as content:
            flag = _flag(content)
    except (Unreadable, OSError) as error:
        reason = error if isinstance(error, Unreadable) else f"cannot be read ({error.strerror})"
        raise EnvironmentSetupError(
            f"{file} {reason}: fetch the data again with `sdar data alfworld --fetch`"
        ) from None
    return flag == b"true"


def _flag(content: BinaryIO) -> bytes | None:
    size = content.seek(0, os.SEEK_END)
    content.seek(max(0, size - _TAIL))
    found = _SOLVABLE.search(content.read(_TAIL))
    if found is None:
        content.seek(0)
        found = _SOLVABLE.search(content.read(LARGEST_FILE))
    return found[1] if found is not None else None


def _task_type(file: Path) -> str:
    named = [task_type for task_type in TASK_TYPES if file.parent.parent.name.startswith(f"{task_type}-")]
    if named:
        return named[0]
    trial = file.parent / "traj_data.json"
    try:
        inside(trial, file.parent)
        content = read_json(trial, _LARGEST_TRIAL)
    except Unreadable as error:
        raise EnvironmentSetupError(
            f"{trial} does not say the game's task_type (it {error}): fetch the data with `sdar data alfworld --fetch`"
        ) from None
    task_type = content.get("task_type") if isinstance(content, dict) else None
    if task_type not in TASK_TYPES:
        raise EnvironmentSetupError(
            f"{trial} does not say the game's task_type, one of {', '.join(TASK_TYPES)}: "
            "fetch the data with `sdar data alfworld --fetch`"
        )
    return str(task_type)
