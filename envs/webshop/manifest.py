"""What a store is: ``store.json``, written last into its folder."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError

FORMAT = 1
"""Raised whenever the store's tables change, or what a record becomes."""
MANIFEST = "store.json"
DATABASE = "store.sqlite"
INDEX = "index"


@dataclass(frozen=True, slots=True)
class Manifest:
    digest: str
    """SHA-256 of all products and goals: equal for the same content, whatever file or machine it came from."""
    counts: dict[str, int]
    """``import_products.COUNTS``."""
    database_bytes: int
    sources: list[dict[str, Any]]
    """The imported files (``json_files.identity``); empty for a generated catalogue."""
    catalogue: dict[str, Any] | None = None
    """The settings of a generated catalogue."""


class Digest:
    """The hash of a store's content, product by product."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(f"webshop store {FORMAT}\n".encode())

    def products(self, database: sqlite3.Connection) -> Iterator[str]:
        """Every product's JSON, in order, hashed as it passes."""
        for (content,) in database.execute("SELECT content FROM products ORDER BY number"):
            self._hash.update(content.encode() + b"\n")
            yield content

    def finish(self, database: sqlite3.Connection) -> str:
        """The digest, after all products have passed."""
        for row in database.execute("SELECT product, place, content FROM human ORDER BY number"):
            self._hash.update("{} {} {}\n".format(*row).encode())
        return self._hash.hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    with (folder / MANIFEST).open("w", encoding="utf-8") as out:
        json.dump({"format": FORMAT, **asdict(manifest)}, out, indent=1)
        out.flush()
        os.fsync(out.fileno())


def read_manifest(folder: Path) -> Manifest:
    """
    Raises:
        EnvironmentSetupError: there is no whole store of this format.
    """
    if not (folder / MANIFEST).is_file():
        raise EnvironmentSetupError(_absent(folder))
    remedy = "remove the folder and make it again with `sdar data webshop`"
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise EnvironmentSetupError(f"{folder} has another format than this version reads: {remedy}")
        manifest = Manifest(**content)
        whole = (folder / DATABASE).stat().st_size == manifest.database_bytes
    except OSError as error:
        raise EnvironmentSetupError(f"{folder} is not whole ({error.strerror}): {remedy}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentSetupError(f"{folder / MANIFEST} is damaged: {remedy}") from error
    if not whole:
        raise EnvironmentSetupError(f"{folder / DATABASE} is not as long as it was written: {remedy}")
    return manifest


def _absent(folder: Path) -> str:
    if folder.with_name(f"{folder.name}.draft").is_dir():
        return (
            f"the import into {folder} was not finished: run the same `sdar data webshop --from FOLDER` again, "
            "it goes on where it was"
        )
    return (
        f"there is no store in {folder}: import WebShop's files with `sdar data webshop --from FOLDER`, name an "
        "imported store with environment.options.data or SDAR_WEBSHOP, or set environment.options.products=generated"
    )
