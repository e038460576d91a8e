"""An index as a folder: ``offsets.npy``, the engine's own files, and ``retriever.json``.

The folder appears complete or not at all. It refers to the corpus file, which stays where it is; only a ``.gz``
is unpacked into the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.evaluation.files import write_json
from sdar_cli.paths import cache_root
from sdar_cli.placing import parents_made
from sdar_cli.reading import Missing, Unreadable, inside, read_json
from sdar_cli.retriever.corpus import Corpus
from sdar_cli.retriever.engine import Bar, Engine, Settings
from sdar_cli.retriever.scan import UNPACKED, Source, open_corpus, scan

MANIFEST = "retriever.json"
FORMAT = 1
"""Raised when folders of another version can no longer be opened."""
_SAMPLE = 2**20
_LARGEST = 1 << 20
_NUMBERS = ("bytes", "modified", "documents")


@dataclass(frozen=True, slots=True)
class Manifest:
    engine: str | None
    """None: offsets alone, for an index that was built elsewhere."""
    source: Source
    facts: Mapping[str, Any]
    """What the engine's ``open`` needs to know."""


def build(corpus: Path, folder: Path, engine: type[Engine] | None, settings: Settings, bar: Bar) -> Manifest:
    """Check a corpus and write its index to ``folder``, which must not exist, or be empty.

    Raises:
        EnvironmentSetupError: the corpus is damaged, the folder is taken, or cannot be written.
    """
    if os.path.lexists(folder) and not _is_empty(folder):
        raise EnvironmentSetupError(f"{folder} exists: remove it, or give another folder with --out")
    if engine is not None:
        engine.check(settings, building=True)
    open_corpus(corpus).close()
    try:
        with parents_made(folder), _drafted(folder) as draft:
            manifest = _write(corpus, draft, engine, settings, bar)
            _publish(draft, folder)
    except OSError as error:
        raise _not_written(folder, error) from error
    return manifest


@contextmanager
def _drafted(folder: Path) -> Iterator[Path]:
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_empty(folder: Path) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:
        return False


def cached(corpus: Path, engine: type[Engine] | None, bar: Bar) -> Path:
    """The folder of a corpus's index in the cache, built if it is not there; the name follows from the content.

    Raises:
        EnvironmentSetupError: as ``build``.
    """
    folder = cache_root() / "retriever" / f"{engine.name if engine else 'offsets'}-{_fingerprint(corpus)}"
    if not (folder / MANIFEST).exists():
        try:
            build(corpus, folder, engine, Settings(), bar)
        except EnvironmentSetupError:
            if not (folder / MANIFEST).exists():  # else another process was first, with the same content
                raise
    return folder


def read_manifest(folder: Path) -> Manifest:
    """
    Raises:
        EnvironmentSetupError: the folder is no index, or one of another version.
    """
    file = folder / MANIFEST
    try:
        content = read_json(inside(file, folder), _LARGEST)
    except Missing:
        raise EnvironmentSetupError(
            f"{folder} is no retriever index (it holds no {MANIFEST}): make one with `sdar retriever build`"
        ) from None
    except Unreadable as error:
        raise EnvironmentSetupError(f"{file} is damaged (it {error}): build the index again") from None
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
        raise EnvironmentSetupError(f"{folder} was built by another version of sdar: build it again")
    if not _is_manifest(content):
        raise EnvironmentSetupError(f"{file} is damaged: build the index again")
    return Manifest(content["engine"], Source(**content["source"]), content["facts"])


def _is_manifest(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and content.keys() == {"format", "engine", "source", "facts"}
        and type(content["format"]) is int
        and isinstance(content["engine"], str | None)
        and isinstance(content["facts"], dict)
        and isinstance(content["source"], dict)
        and content["source"].keys() == {field.name for field in fields(Source)}
        and all(isinstance(content["source"][key], str) for key in ("file", "sha256"))
        and all(type(content["source"][key]) is int and content["source"][key] >= 0 for key in _NUMBERS)
        and (os.path.isabs(content["source"]["file"]) or content["source"]["file"] == UNPACKED)
    )


def _write(corpus: Path, draft: Path, engine: type[Engine] | None, settings: Settings, bar: Bar) -> Manifest:
    with bar("reading passages") as progress:
        source = scan(corpus, draft, progress)
    facts: Mapping[str, Any] = {}
    if engine is not None:
        opened = Corpus.open(draft, source)
        try:
            facts = engine.build(draft, opened, settings, bar)
        finally:
            opened.close()
    manifest = Manifest(engine.name if engine else None, source, facts)
    write_json(draft / MANIFEST, {"format": FORMAT, **asdict(manifest)})
    return manifest


def _publish(draft: Path, folder: Path) -> None:
    for path in [*draft.rglob("*"), draft]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    draft.chmod(0o755)
    os.rename(draft, folder)


def _fingerprint(corpus: Path) -> str:
    """Of a file's size, time, beginning and end: reading all of it would take as long as the index does."""
    with open_corpus(corpus) as content:
        facts = os.fstat(content.fileno())
        digest = hashlib.sha256(f"{FORMAT} {facts.st_size} {facts.st_mtime_ns} {corpus.suffix}".encode())
        digest.update(content.read(_SAMPLE))
        content.seek(max(0, facts.st_size - _SAMPLE))
        digest.update(content.read(_SAMPLE))
    return digest.hexdigest()[:16]


def _not_written(folder: Path, error: OSError) -> EnvironmentSetupError:
    return EnvironmentSetupError(
        f"the index cannot be written to {folder} ({error.strerror or error}): "
        "free space there, or give another folder with --out (the cache: SDAR_CACHE)"
    )
