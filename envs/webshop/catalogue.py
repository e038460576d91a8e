"""A catalogue that is generated in the real one's JSON format, and imported as that is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop.catalogue_files import write_files
from sdar_envs.webshop.catalogue_items import GENERATOR, Catalogue
from sdar_envs.webshop.importing import fill
from sdar_envs.webshop.json_files import find_sources
from sdar_envs.webshop.manifest import MANIFEST

__all__ = ["Catalogue", "generate"]

Progress = Callable[[int, int], None]


def generate(catalogue: Catalogue, progress: Progress | None = None) -> Path:
    """Make a catalogue's store, if it is not there; returns its folder.

    ``progress`` gets products (indexed, all). The folder appears complete or not at all.
    """
    folder = catalogue.folder
    if (folder / MANIFEST).exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        try:
            with TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as source:
                write_files(catalogue, Path(source))
                about = {"catalogue": asdict(catalogue) | {"generator": GENERATOR}}
                fill(find_sources(Path(source)), draft, None, progress, about)
            _publish(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise EnvironmentSetupError(
            f"generated products cannot be written to {folder.parent} ({error.strerror}): "
            "set SDAR_CACHE to a folder that has room and can be written"
        ) from error
    return folder


def _publish(draft: Path, folder: Path) -> None:
    draft.chmod(0o755)
    try:
        os.rename(draft, folder)
    except OSError:
        if not (folder / MANIFEST).exists():  # else another process was first, with the same products
            raise
