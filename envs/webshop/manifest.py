"""What a store is: ``store.json``, written last into its folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Missing, Unreadable, inside, open_regular, read_json

FORMAT = 1
"""Raised whenever the store's tables change, or what a record becomes."""
MANIFEST = "store.json"
DATABASE = "store.sqlite"
INDEX = "index"
COUNTS = (
    "products",
    "with_options",
    "synthetic_goals",
    "human_goals",
    "doubled_asins",
    "unusable_asins",
    "instructions_without_attributes",
    "human_without_attributes",
)
_LARGEST = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    digest: str
    """SHA-256 of all products and goals: equal for the same content, whatever file or machine it came from."""
    counts: dict[str, int]
    """``COUNTS``, each."""
    database_bytes: int
    sources: list[dict[str, Any]]
    """The imported files (``json_files.identity``); empty for a generated catalogue."""
    catalogue: dict[str, Any] | None = None
    """The settings of a generated catalogue."""


class Queries(Protocol):
    """A database that is written, or one that is read."""

    def execute(self, query: str, /) -> Iterable[Any]: ...


class Digest:
    """The hash of a store's content, product by product."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(f"webshop store {FORMAT}\n".encode())

    def products(self, database: Queries) -> Iterator[str]:
        """Every product's JSON, in order, hashed as it passes."""
        for (content,) in database.execute("SELECT content FROM products ORDER BY number"):
            self._hash.update(str(content).encode() + b"\n")
            yield content

    def finish(self, database: Queries) -> str:
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
    remedy = "remove the folder and make it again with `sdar data webshop`"
    try:
        content = read_json(inside(folder / MANIFEST, folder), _LARGEST)
    except Missing:
        raise EnvironmentSetupError(_absent(folder)) from None
    except Unreadable as error:
        raise EnvironmentSetupError(f"{folder / MANIFEST} is damaged (it {error}): {remedy}") from None
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
        raise EnvironmentSetupError(f"{folder} has another format than this version reads: {remedy}")
    if not _is_manifest(content):
        raise EnvironmentSetupError(f"{folder / MANIFEST} is damaged: {remedy}")
    manifest = Manifest(**{key: value for key, value in content.items() if key != "format"})
    try:
        inside(folder / DATABASE, folder)
        with open_regular(folder / DATABASE) as file:
            whole = os.fstat(file.fileno()).st_size == manifest.database_bytes
    except Unreadable as error:
        raise EnvironmentSetupError(f"{folder} is not whole ({DATABASE} {error}): {remedy}") from None
    if not whole:
        raise EnvironmentSetupError(f"{folder / DATABASE} is not as long as it was written: {remedy}")
    return manifest


def _is_manifest(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and content.keys() - {"catalogue"} == {"format", "digest", "counts", "database_bytes", "sources"}
        and type(content["format"]) is int
        and isinstance(content["digest"], str)
        and _DIGEST.fullmatch(content["digest"]) is not None
        and isinstance(content["counts"], dict)
        and content["counts"].keys() == set(COUNTS)
        and all(map(_is_count, content["counts"].values()))
        and _is_count(content["database_bytes"])
        and isinstance(content["sources"], list)
        and all(isinstance(source, dict) for source in content["sources"])
        and isinstance(content.get("catalogue"), dict | None)
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _absent(folder: Path) -> str:
    if os.path.isdir(f"{folder}.draft"):
        return (
            f"the import into {folder} was not finished: run the same `sdar data webshop --from FOLDER` again, "
            "it goes on where it was"
        )
    return (
        f"there is no store in {folder}: import WebShop's files with `sdar data webshop --from FOLDER`, name an "
        "imported store with environment.options.data or SDAR_WEBSHOP, or set environment.options.products=generated"
    )
