"""Folders that `sdar retriever build` made, opened by `sdar retriever serve`, whose loop over requests is replaced by a
few searches: everything before it is the command's own."""

from __future__ import annotations

import atexit
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import garbage_json as j
import garbage_kind_corpus as source
import mutations as m
from garbage_places import sparse
from harness import Call, Kind, Make, Outcome

ARRAYS = ("offsets.npy", *(f"bm25/{name}.npy" for name in ("documents", "divisors", "starts", "term_starts")))
FILES = (*ARRAYS, "bm25/terms.bin", "bm25/index.json")
QUERIES = ["ben", "town", "日本語", "größer old"]


@cache
def made() -> Path:
    """An index and its corpus, packed, made once a process."""
    from sdar_cli.cli.main import main

    base = Path(tempfile.mkdtemp(prefix="garbage-index-"))
    atexit.register(shutil.rmtree, base, True)
    call = source.lay(base, gzip.compress(source.lines()), "corpus.jsonl.gz")
    words = [str(base / word) if word in ("corpus.jsonl.gz", "new/index") else word for word in call.words]
    assert main(words) == 0
    return base / "new" / "index"


def _search(opened: Any, load: Callable[[], Any], *rest: Any) -> None:
    service = load()
    try:
        for passages in service.retrieve(QUERIES, 3):
            print(json.dumps([[passage["contents"], round(score, 4)] for passage, score in passages]))
    finally:
        service.corpus.close()


def _searching() -> Any:
    return mock.patch("sdar_cli.retriever.server.serve", _search)


def lay(folder: Path, name: str = "index") -> Call:
    shutil.copytree(made(), folder / name)
    _as_it_was(folder / name)
    return Call(["retriever", "serve", "--index", name, "--port", "0"], within=_searching)


def _as_it_was(index: Path) -> None:
    """A copy has a time of its own, and the manifest knows the old one; a hash would settle it too."""
    kept = (made() / "corpus.jsonl").stat()
    os.utime(index / "corpus.jsonl", ns=(kept.st_atime_ns, kept.st_mtime_ns))


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    return outcome.out


def tree() -> Any:
    return json.loads((made() / "retriever.json").read_text())


@cache
def sample() -> j.JsonSample:
    keys: list[m.Keys] = [("format",), ("engine",), ("facts",), ("source",)]
    inner: list[m.Keys] = [("source", key) for key in tree()["source"]]
    return j.JsonSample(
        tree(),
        lay,
        "index/retriever.json",
        1 << 20,
        texts=[("engine",), ("source", "file"), ("source", "sha256")],
        strict=[*keys, *inner],
        required=[*keys, *inner],
        keyed=[*keys, *inner],
        sections=[(), ("source",)],
        doubles=[*keys, *inner],
    )


def of_manifest(klass: str, folder: Path, random: Random) -> Call:
    return j.refused(sample())[klass](folder, random)


def cut(folder: Path, random: Random) -> Call:
    if random.random() < 0.5:
        return of_manifest("cut", folder, random)
    call = lay(folder)
    file = folder / "index" / random.choice((*FILES, "corpus.jsonl"))
    file.write_bytes(m.cut(file.read_bytes(), random))
    return call


def edited(folder: Path, random: Random) -> Call:
    """Facts that are fine, and not those of the index."""
    changed = tree()
    at, value = random.choice(
        (
            (("engine",), random.choice(("dense", "zzz", ""))),
            (("format",), random.choice((0, 2, 99))),
            (("source", "documents"), random.choice((0, 2, 4, 10**12))),
            (("source", "bytes"), random.choice((0, 1, 10**12))),
            (("source", "file"), random.choice(("../corpus.jsonl", "/nowhere", "", "x", "/dev/zero", "/", "a\nb"))),
        )
    )
    return sample().call(folder, json.dumps(m.put(changed, at, value)))


def number(folder: Path, random: Random) -> Call:
    if random.random() < 0.5:
        call = lay(folder)
        file = folder / "index" / "bm25" / "index.json"
        content = json.loads(file.read_text())
        key = random.choice(("documents", "documents_with_terms", "terms", "postings", "k1", "b"))
        file.write_text(
            m.spliced(content, (key,), random.choice((m.odd_number(random), str(10**30), "-1", "true", '"7"')))
        )
        return call
    changed = sample()
    at = random.choice((("source", "bytes"), ("source", "documents"), ("source", "modified"), ("format",)))
    raw = random.choice((m.odd_number(random), "-1", "0.5", "true", str(2**63)))
    return changed.call(folder, m.spliced(tree(), at, raw))


def array(folder: Path, random: Random) -> Call:
    """Numbers in place of others: another type, more of them, none."""
    import numpy as np

    call = lay(folder)
    file = folder / "index" / random.choice(ARRAYS)
    old = np.load(file)
    kinds = [kind for kind in (np.int32, np.int64, np.float32, np.float64, np.uint8) if kind != old.dtype]
    new = random.choice((old.astype(random.choice(kinds)), np.append(old, old[-1:]), old[:-1], old[:, None], old[:0]))
    np.save(file, new)
    size = file.stat().st_size
    manifest = folder / "index" / "bm25" / "index.json"
    if file.name != "offsets.npy":
        content = json.loads(manifest.read_text())
        content["files"][file.name][0] = size
        manifest.write_text(json.dumps(content))
    return call


def offsets(folder: Path, random: Random) -> Call:
    """Places of passages that are none; the last is still the file's end."""
    import numpy as np

    call = lay(folder)
    file = folder / "index" / "offsets.npy"
    old = np.load(file)
    middle = random.choice(
        ([-1, -1], [10**15, 10**15], [old[-1], old[-1]], [old[2], old[1]], [5, 7], [-(2**63), 2**63 - 1])
    )
    np.save(file, np.array([random.choice((1, -1, 3, old[-1])), *middle, old[-1]], np.int64))
    return call


def size(folder: Path, random: Random) -> Call:
    if random.random() < 0.5:
        return of_manifest("size", folder, random)
    call = lay(folder)
    sparse(folder / "index" / random.choice((*FILES, "corpus.jsonl")), 10 << 30)
    return call


def place(folder: Path, random: Random) -> Call:
    call = lay(folder)
    name = random.choice((*FILES, "corpus.jsonl", "retriever.json"))
    return j.displaced(call, folder / "index" / name, random)


def escape(folder: Path, random: Random) -> Call:
    call = lay(folder)
    if random.random() < 0.4:
        named = random.choice(
            ("~nobody_here/x", "n" * 300, "/dev/zero", "index/offsets.npy", "a\nb\x1b[2J", "index/bm25")
        )
        return replace(call, words=["retriever", "serve", "--index", named, "--port", "0"])
    name = random.choice((*FILES, "retriever.json"))
    shutil.copy(folder / "index" / name, folder / "elsewhere")
    (folder / "index" / name).unlink()
    (folder / "index" / name).symlink_to(random.choice((folder / "elsewhere", "/etc/passwd")))
    return call


REFUSED: dict[str, Make] = {
    klass: partial(of_manifest, klass)
    for klass in (
        "encoding",
        "surrogate",
        "depth",
        "type",
        "missing",
        "unknown",
        "misspelt",
        "duplicate",
        "empty",
        "mixed",
    )
}
REFUSED |= {
    "cut": cut,
    "number": number,
    "edited": edited,
    "code": array,
    "flip": offsets,
    "size": size,
    "place": place,
    "escape": escape,
}


# --- valid ---


def spelt(folder: Path, random: Random) -> Call:
    return sample().call(folder, m.json_spelling(tree(), random))


def linked(folder: Path, random: Random) -> Call:
    call = lay(folder, "kept")
    file = folder / "kept" / random.choice((*FILES, "retriever.json"))
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")
    (folder / "index").symlink_to("kept")
    named = random.choice(("index", "kept", "./kept/", str(folder / "index")))
    return replace(call, words=["retriever", "serve", "--index", named, "--port", "0"])


def touched(folder: Path, random: Random) -> Call:
    """A corpus of another time, which its hash tells; or one that lies elsewhere."""
    call = lay(folder)
    corpus = folder / "index" / "corpus.jsonl"
    if random.random() < 0.5:
        os.utime(corpus, (random.randrange(10**9), random.randrange(10**9)))
        return call
    corpus.rename(folder / "größer 🦊")
    return replace(call, words=[*call.words, "--corpus", "größer 🦊"])


KIND = Kind(
    "index",
    plain,
    REFUSED,
    {"spelling": spelt, "link": linked, "time": touched},
    read_back,
    talk=r"loading; http://.* answers 503 until then",
)
