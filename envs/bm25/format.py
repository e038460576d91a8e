"""The index on disk: a folder of arrays and a manifest, which is written last.

    index.json        counts, parameters, and the size and hash of every other file
    documents.npy     int32 (P,): document numbers of all postings, term by term, ascending within a term
    divisors.npy      float32 (P,): 1 + frequency / norm of each posting, so that it scores weight - weight / divisor
    starts.npy        int64 (T + 1,): where each term's postings start
    terms.bin         the terms in UTF-8, sorted by their bytes, without separators
    term_starts.npy   int64 (T + 1,): where each term starts in terms.bin

P postings are pairs of a term and a document; T is the number of terms.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Missing, Unreadable, inside, open_regular, read_json

FORMAT = 1
"""Raised whenever these files change, or the terms that the analyser makes of a text."""
MANIFEST = "index.json"
_LARGEST = 1 << 20
_MOST_K1 = 1e6
FILES = ("documents.npy", "divisors.npy", "starts.npy", "terms.bin", "term_starts.npy")


@dataclass(frozen=True, slots=True)
class Manifest:
    documents: int
    """All of them, those without a term included."""
    documents_with_terms: int
    """What the inverse document frequency counts, as in Lucene."""
    terms: int
    postings: int
    k1: float
    b: float
    files: dict[str, tuple[int, str]]
    """Name → bytes and SHA-256."""


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Describe the files in ``folder``, and make all of it durable."""
    files = {}
    for name in FILES:
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        files[name] = ((folder / name).stat().st_size, digest)
    manifest = Manifest(**content, files=files)
    with (folder / MANIFEST).open("w", encoding="utf-8") as out:
        json.dump({"format": FORMAT, **asdict(manifest)}, out, indent=1)
        out.flush()
        os.fsync(out.fileno())


def read_manifest(folder: Path) -> Manifest:
    """
    Raises:
        EnvironmentSetupError: the folder holds no whole index of this format.
    """
    remedy = "build the index again"
    try:
        content = read_json(inside(folder / MANIFEST, folder), _LARGEST)
    except Missing as error:
        raise EnvironmentSetupError(f"there is no whole index in {folder} ({MANIFEST} {error}): {remedy}") from None
    except Unreadable as error:
        raise EnvironmentSetupError(f"{folder / MANIFEST} is damaged (it {error}): {remedy}") from None
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
        raise EnvironmentSetupError(f"the index in {folder} has another format than this version reads: {remedy}")
    if not _is_manifest(content):
        raise EnvironmentSetupError(f"{folder / MANIFEST} is damaged: {remedy}")
    manifest = Manifest(**{key: value for key, value in content.items() if key != "format"})
    for name in FILES:
        try:
            with open_regular(inside(folder / name, folder)) as file:
                size = os.fstat(file.fileno()).st_size
        except Unreadable as error:
            raise EnvironmentSetupError(f"there is no whole index in {folder} ({name} {error}): {remedy}") from None
        if size != manifest.files[name][0]:
            raise EnvironmentSetupError(f"{folder / name} is not as long as it was written: {remedy}")
    return manifest


def _is_manifest(content: Any) -> bool:
    counts = ("documents", "documents_with_terms", "terms", "postings")
    return (
        isinstance(content, dict)
        and content.keys() == {"format", "k1", "b", "files", *counts}
        and type(content["format"]) is int
        and all(map(_is_count, map(content.get, counts)))
        and content["documents_with_terms"] <= content["documents"]
        and all(type(content[key]) in (int, float) for key in ("k1", "b"))
        and 0 < content["k1"] < _MOST_K1
        and 0 <= content["b"] <= 1
        and isinstance(content["files"], dict)
        and content["files"].keys() == set(FILES)
        and all(_is_file(entry) for entry in content["files"].values())
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _is_file(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and _is_count(entry[0]) and isinstance(entry[1], str)


class Mismatch(ValueError):
    """An array of another kind or length."""


def open_array(file: Path, dtype: type[np.generic], length: int) -> np.ndarray:
    """A one-dimensional array on disk, memory-mapped.

    Raises:
        ValueError: the file holds no such array.
        Unreadable: it is no file.
    """
    open_regular(file).close()
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.memmap):
            raise ValueError("no array")
        array = found.view(np.ndarray)
    except Exception as error:  # what a header holds is parsed as Python, and fails in as many ways
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file.name}: {text[:160]}") from None
    if array.dtype != dtype or array.shape != (length,):
        raise Mismatch(f"{file.name} is not an array of {length} numbers of the kind that it should hold")
    return array


def check_contents(folder: Path, manifest: Manifest) -> None:
    """Read every file and compare its hash with the manifest.

    Raises:
        EnvironmentSetupError: a file has changed since it was written.
    """
    for name in FILES:
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.files[name][1]:
                raise EnvironmentSetupError(f"{folder / name} has changed since it was written: build the index again")
