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

from sdar_cli.errors import EnvironmentSetupError

FORMAT = 1
"""Raised whenever these files change, or the terms that the analyser makes of a text."""
MANIFEST = "index.json"
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
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise EnvironmentSetupError(f"the index in {folder} has another format than this version reads: {remedy}")
        manifest = Manifest(**content)
        for name in FILES:
            if (folder / name).stat().st_size != manifest.files[name][0]:
                raise EnvironmentSetupError(f"{folder / name} is not as long as it was written: {remedy}")
    except OSError as error:
        raise EnvironmentSetupError(f"there is no whole index in {folder} ({error.strerror}): {remedy}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentSetupError(f"{folder / MANIFEST} is damaged: {remedy}") from error
    return manifest


def check_contents(folder: Path, manifest: Manifest) -> None:
    """Read every file and compare its hash with the manifest.

    Raises:
        EnvironmentSetupError: a file has changed since it was written.
    """
    for name in FILES:
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.files[name][1]:
                raise EnvironmentSetupError(f"{folder / name} has changed since it was written: build the index again")
