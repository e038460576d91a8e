"""A panel on disk: one JSON object, refused when it is malformed or was edited.

Format 2 adds to format 1 what reads well and is no part of the panel's hash: each task's type, and the
environment's options in full. ``checksum`` is the SHA-256 over everything else in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdar_cli.errors import PanelError
from sdar_cli.evaluation.files import digest, write_json
from sdar_cli.reading import Unreadable, read_json

FORMAT = 2
HASHED: dict[str, type] = {"environment": str, "options": str, "split": str, "seed": int, "task_ids": list}
"""What ``digest`` is the hash of."""
FURTHER: dict[str, type] = {"task_types": list, "settings": dict, "checksum": str}
LARGEST = 32 << 20
"""Bytes of a panel; a hundred thousand tasks with their types take a tenth of it."""


def write(path: Path, hashed: Mapping[str, Any], task_types: list[str], settings: Mapping[str, Any]) -> None:
    """Write atomically; ``task_types`` and ``settings`` are empty where they are not known."""
    content = {
        "format": FORMAT,
        "digest": digest(hashed),
        **hashed,
        "task_types": task_types,
        "settings": dict(settings),
    }
    write_json(path, content | {"checksum": digest(content)})


def read(path: Path) -> dict[str, Any]:
    """The entries of a file of any format, those of format 2 empty where it lacks them. Raises PanelError."""
    content = _json(path)
    _check_keys(content, path)
    ids = content["task_ids"]
    if not ids or not _texts(ids) or len(set(ids)) != len(ids):
        raise PanelError(f"the task_ids of the panel {path} are empty, repeated or not texts: draw a new panel")
    found = digest({key: content[key] for key in HASHED})
    if content["digest"] != found:
        is_now, was = _apart(found, content["digest"])
        raise PanelError(
            f"the panel {path} was edited: its content hashes to {is_now}, not to {was}, so restore the file or draw "
            "a new panel"
        )
    checksum = content.pop("checksum", None)
    if content["format"] == FORMAT and checksum != digest(content):
        raise PanelError(
            f"the panel {path} was edited: its checksum is not that of its task types and settings, so restore the "
            "file or draw a new panel"
        )
    entries = {"task_types": [], "settings": {}} | content
    if len(entries["task_types"]) not in (0, len(ids)) or not _texts(entries["task_types"]):
        raise PanelError(f"the task_types of the panel {path} are not a text for each task: draw a new panel")
    return entries


def _apart(first: str, second: str, letters: int = 12) -> tuple[str, str]:
    """Two different hashes, cut to some letters in which they differ."""
    same = next((place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))
    start = 0 if same < letters else same - letters // 2
    mark = "…" if start else ""
    return mark + first[start : start + letters], mark + second[start : start + letters]


def _json(path: Path) -> Any:
    try:
        return read_json(path, LARGEST)
    except Unreadable as error:
        raise PanelError(
            f"the panel {path} {error}: give a file that sdar wrote, or a name from `sdar panel ls`"
        ) from None


def _check_keys(content: Any, path: Path) -> None:
    if not isinstance(content, dict):
        raise PanelError(f"the panel {path} is not a JSON object: give a file that sdar wrote")
    kinds = {"digest": str, **HASHED} | (FURTHER if content.get("format") == FORMAT else {})
    for key, kind in kinds.items():
        if type(content.get(key)) is not kind:
            raise PanelError(
                f"the panel {path} has no {key!r} of type {kind.__name__}: "
                "give a file that sdar wrote, or draw a new panel"
            )
    if (
        type(content.get("format")) is not int
        or content["format"] not in (1, FORMAT)
        or set(content) - set(kinds) - {"format"}
    ):
        raise PanelError(f"the panel {path} is not of format 1 or {FORMAT}: draw a new panel with this version of sdar")


def _texts(values: list[Any]) -> bool:
    return all(type(value) is str for value in values)
