"""``study.json``, and finding the folder that holds it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import StudyError
from sdar_cli.evaluation.files import write_json
from sdar_cli.paths import user_path
from sdar_cli.reading import Unreadable, read_json
from sdar_cli.recipe.explain import nearest
from sdar_cli.runs.state import LAST_MOMENT
from sdar_cli.sweep.storage import has_secret, shown

if TYPE_CHECKING:
    from sdar_cli.sweep.spec import StudySpec

FORMAT = 1
STUDIES = "studies"
"""Folder of all studies, within the runs folder."""
FILE = "study.json"
LARGEST = 64 << 20
"""Bytes of it; ten thousand settings take a tenth."""
FOLDERS = ("beats", "recipes", "logs", "figures")


def write_study(folder: Path, spec: dict[str, Any], created: float, url: str | None) -> None:
    """Make what a study's folder holds from the start; a password in the database's URL is not kept."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    kept = shown(url) if url is not None and has_secret(url) else url
    write_json(folder / FILE, {"format": FORMAT, "created": created, "storage": kept, "spec": spec})


def list_studies(root: Path) -> list[Path]:
    """The folders of the studies under a runs folder, the oldest first; damaged ones are left out."""
    found = []
    for file in (root / STUDIES).glob("*/" + FILE):
        if file.parent.name.startswith("."):
            continue
        with suppress(StudyError):
            found.append((float(read_study(file)["created"]), file.parent.name, file.parent))
    return [folder for _, _, folder in sorted(found)]


def read_study(file: Path) -> dict[str, Any]:
    """
    Raises:
        StudyError: it is missing or damaged.
    """
    try:
        content = read_json(file, LARGEST)
        version = content.get("format", FORMAT) if isinstance(content, dict) else FORMAT
        if version != FORMAT or type(version) is not int:
            raise StudyError(f"{file} is of format {version!r}, not {FORMAT}: use the sdar that made it")
        what = _damage(content)
    except Unreadable as error:
        what = f"it {error}"
    if what is not None:
        raise StudyError(f"{file} is damaged ({what}): restore it, or remove its folder")
    return content


def _damage(content: Any) -> str | None:
    if not isinstance(content, dict):
        return "it is no object of a study's keys"
    for key in ("format", "created", "storage", "spec"):
        if key not in content:
            return f"it has no {key!r}"
    if type(content["created"]) not in (int, float) or not 0 <= content["created"] <= LAST_MOMENT:
        return "its moment is none"
    if not isinstance(content["storage"], str | None) or not isinstance(content["spec"], dict):
        return "its storage or its spec is not what it should be"
    return None


def read_spec(content: Any, file: Path) -> StudySpec:
    """
    Raises:
        StudyError: some key is damaged.
    """
    from pydantic import ValidationError

    from sdar_cli.sweep.spec import StudySpec
    from sdar_cli.sweep.stored import contradiction

    try:
        spec = StudySpec.model_validate_json(json.dumps(content), strict=True)
        key = contradiction(spec)
    except ValidationError as error:
        key = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))[:200] or "spec"
    if key is not None:
        raise StudyError(f"{file} is damaged at {key}: restore it, or remove its folder")
    return spec


def find_study(reference: str, root: Path) -> Path:
    """The folder that a study of this name or folder has, or would have."""
    given = user_path(reference)
    if (given / FILE).is_file():
        return given.absolute()
    if reference in ("", ".", "..") or "\0" in reference:
        raise StudyError(f"{reference!r} names no study: give a name, or a folder under {root / STUDIES}")
    return root.absolute() / STUDIES / given.name


def not_found(reference: str, root: Path) -> str:
    """The sentence that names the nearest."""
    names = [folder.name for folder in list_studies(root)]
    meant = nearest(Path(reference).name, names, cutoff=0.4)
    if meant is not None:
        return f"there is no study {reference!r} (looked in {root / STUDIES}): did you mean {meant!r}?"
    if names:
        return f"there is no study {reference!r} (looked in {root / STUDIES}): the newest is {names[-1]!r}"
    return f"there is no study in {root}: start one with `sdar sweep`, or name the folder with --runs"
