"""Importing a catalogue: JSON files in, a store out.

A store is made in a draft beside its place (``<name>.draft``) and moved there when it is whole and checked. The
draft is kept when the process is killed, interrupted or out of disk: the same command goes on where it was, if
the files are the same. It is removed when a file is damaged. The rules for records are in ``cleaning.py``.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.paths import is_file, is_folder
from sdar_cli.placing import parents_made
from sdar_cli.reading import Unreadable, read_json
from sdar_envs.bm25 import Index
from sdar_envs.webshop.batches import Spoilt, open_database
from sdar_envs.webshop.import_instructions import INSTRUCTIONS_DATABASE, import_instructions
from sdar_envs.webshop.import_products import import_products
from sdar_envs.webshop.index_text import index_text
from sdar_envs.webshop.json_files import DamagedFile, Sources, find_sources, identity
from sdar_envs.webshop.manifest import (
    DATABASE,
    FORMAT,
    INDEX,
    MANIFEST,
    Digest,
    Manifest,
    read_manifest,
    write_manifest,
)
from sdar_envs.webshop.product import NoProduct, Product, from_json
from sdar_envs.webshop.store import Store

Progress = Callable[[int, int], None]
_SOURCES = "sources.json"


def import_store(source: Path, folder: Path, reading: Progress | None = None, indexing: Progress | None = None) -> None:
    """Import the files in ``source`` (a folder, or its file of products) into the store ``folder``.

    ``reading`` gets bytes (done, all), then ``indexing`` products. A store of the same files that is there
    already is left as it is.

    Raises:
        EnvironmentSetupError: a file is missing or damaged, another store is there, or nothing can be written.
    """
    sources = find_sources(source)
    described = identity(sources)
    with _writing(folder):
        if _is_there(folder, described):
            return
    with _writing(folder), parents_made(folder), _held(folder.with_name(f"{folder.name}.draft"), described) as draft:
        try:
            fill(sources, draft, reading, indexing, {"sources": described})
            if identity(sources) != described:
                raise Spoilt(f"files in {sources.products.parent} changed meanwhile: import them again")
        except (DamagedFile, Spoilt):
            _clear(draft)
            draft.rmdir()
            raise
        (draft / _SOURCES).unlink()
        os.rename(draft, folder)


def fill(
    sources: Sources, draft: Path, reading: Progress | None, indexing: Progress | None, about: dict[str, Any]
) -> None:
    """Make a whole store of ``draft``, going on with what is there; ``about`` goes into its manifest."""
    total = sum(file.stat().st_size for file in sources.files)
    done = 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        if reading is not None:
            reading(done, total)

    import_instructions(sources, draft, read)
    counts = import_products(sources, draft, read)
    digest = Digest()
    with open_database(draft / DATABASE) as database:
        shutil.rmtree(draft / INDEX, ignore_errors=True)
        texts = (index_text(_product(content, draft)) for content in digest.products(database))
        report = indexing or (lambda made, total: None)
        Index.build(draft / INDEX, texts, lambda made, _: report(made, counts["products"]))
        report(counts["products"], counts["products"])
        content_digest = digest.finish(database)
        database.execute("PRAGMA journal_mode = DELETE")
    for suffix in ("", "-wal", "-shm"):
        (draft / f"{INSTRUCTIONS_DATABASE}{suffix}").unlink(missing_ok=True)
    _sync(draft / DATABASE)
    size = (draft / DATABASE).stat().st_size
    write_manifest(draft, Manifest(content_digest, counts, size, **({"sources": []} | about)))
    _sync(draft)
    store = Store.open(draft)
    try:
        store.check()
    finally:
        store.close()


def _product(content: Any, draft: Path) -> Product:
    try:
        return from_json(content)
    except NoProduct:
        raise Spoilt(f"the unfinished import {draft} was damaged: run the same command again") from None


def _is_there(folder: Path, described: list[dict[str, Any]]) -> bool:
    """Whether the folder holds an import of these files, or of copies of them; an empty one may be filled."""
    if not os.path.lexists(folder) or (is_folder(folder) and not any(folder.iterdir())):
        return False
    if not is_file(folder / MANIFEST):
        raise EnvironmentSetupError(f"{folder} holds something else than a store: name another folder with --data")
    imported = [file | {"changed": 0} for file in read_manifest(folder).sources]
    if imported != [file | {"changed": 0} for file in described]:
        raise EnvironmentSetupError(
            f"{folder} holds an import of other files: remove it, or name another folder with --data"
        )
    return True


def _clear(draft: Path) -> None:
    """Empty a draft. What says that it is one goes last, so that a killed process leaves nothing unexplained."""
    for path in draft.iterdir():
        if path.name != _SOURCES:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (draft / _SOURCES).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _held(draft: Path, described: list[dict[str, Any]]) -> Iterator[Path]:
    """The draft, locked against other processes, and empty unless it was begun with the same files and format."""
    draft.mkdir(exist_ok=True)
    descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnvironmentSetupError(f"another process is importing into {draft}: wait for it") from None
        if not draft.exists() or os.fstat(descriptor).st_ino != draft.stat().st_ino:
            raise EnvironmentSetupError(f"another process has just finished with {draft}: run the command again")
        beginning = {"format": FORMAT, "files": described}
        if _begun_with(draft) != beginning:
            if not os.path.lexists(draft / _SOURCES) and any(draft.iterdir()):
                raise EnvironmentSetupError(
                    f"{draft} holds something else than an unfinished import: move it away, or name another folder "
                    "with --data"
                )
            _clear(draft)
            (draft / _SOURCES).write_text(json.dumps(beginning), encoding="utf-8")
        yield draft
    finally:
        os.close(descriptor)


def _begun_with(draft: Path) -> Any:
    try:
        return read_json(draft / _SOURCES, 1 << 20)
    except Unreadable:
        return None


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise EnvironmentSetupError(
            f"{folder} cannot be written ({error}): make room or name another folder, and run the command again; "
            "it goes on where it was"
        ) from error
