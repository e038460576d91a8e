"""The official games on disk: ``<data>/json_2.1.1/{train,valid_seen,valid_unseen}/…/game.tw-pddl``."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.alfworld.vetting import GAME_FILE
from sdar_envs.alfworld.world import TASK_TYPES
from sdar_envs.base import Task

SPLITS = ("train", "valid_seen", "valid_unseen")
GAMES_FOLDER = "json_2.1.1"
_SOLVABLE = re.compile(rb'"solvable": *(true|false|null)')
_TAIL = 65536


def data_folder(data: str | None) -> Path:
    """The folder that holds ``json_2.1.1``: the option, ``ALFWORLD_DATA``, or the package's own default."""
    chosen = data or os.environ.get("ALFWORLD_DATA") or "~/.cache/alfworld"
    folder = Path(os.path.expandvars(chosen)).expanduser()
    return folder.parent if folder.name == GAMES_FOLDER else folder


def splits(data: str | None) -> tuple[str, ...]:
    """The splits that are there; all of them where none is, so that asking for one names the remedy."""
    return _present(data_folder(data) / GAMES_FOLDER) or SPLITS


def tasks(data: str | None, split: str) -> list[Task]:
    """All solvable games of a split, sorted by their path, which is the task's id."""
    root = data_folder(data) / GAMES_FOLDER
    if not (root / split).is_dir():
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
    for file in sorted((root / split).rglob(GAME_FILE)):
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
    return tuple(split for split in SPLITS if (root / split).is_dir())


def _solvable(file: Path) -> bool:
    """Read off the end of the file, where the flag stands, since a game is 130 kB and there are thousands."""
    with file.open("rb") as content:
        size = content.seek(0, os.SEEK_END)
        content.seek(max(0, size - _TAIL))
        flag = _SOLVABLE.search(content.read())
        if flag is None:
            content.seek(0)
            flag = _SOLVABLE.search(content.read())
    return flag is not None and flag[1] == b"true"


def _task_type(file: Path) -> str:
    named = [task_type for task_type in TASK_TYPES if file.parent.parent.name.startswith(f"{task_type}-")]
    if named:
        return named[0]
    trial = file.parent / "traj_data.json"
    try:
        task_type = json.loads(trial.read_text(encoding="utf-8"))["task_type"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise EnvironmentSetupError(
            f"{trial} does not say the game's task_type: fetch the data with `sdar data alfworld --fetch`"
        ) from error
    return str(task_type)
