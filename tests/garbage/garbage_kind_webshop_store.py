"""A store that an import made: its manifest, its database, its index."""

from __future__ import annotations

import atexit
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import garbage_kind_webshop_json as source
import mutations as m
from garbage_places import sparse
from harness import Call, Kind, Make, Outcome

FILES = ("store.sqlite", "index/index.json", "index/terms.bin", "index/starts.npy", "index/documents.npy")
BINARY = tuple(f"index/{name}.npy" for name in ("documents", "divisors", "starts", "term_starts"))
COUNTS = ("products", "synthetic_goals", "human_goals")


@cache
def made() -> Path:
    """A store, made once a process."""
    from sdar_envs.webshop.importing import import_store

    base = Path(tempfile.mkdtemp(prefix="garbage-store-"))
    atexit.register(shutil.rmtree, base, True)
    source.lay(base)
    import_store(base / "source", base / "store")
    return base / "store"


def lay(folder: Path, name: str = "store") -> Call:
    shutil.copytree(made(), folder / name)
    return Call(["data", "webshop", "--data", name, "--json"])


def manifest() -> Any:
    return json.loads((made() / "store.json").read_text())


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    return {key: value for key, value in json.loads(outcome.out).items() if key not in ("folder", "bytes")}


@cache
def sample() -> j.JsonSample:
    keys = [("format",), ("digest",), ("database_bytes",), ("sources",), ("counts",)]
    counts: list[m.Keys] = [("counts", key) for key in manifest()["counts"]]
    return j.JsonSample(
        manifest(),
        lay,
        "store/store.json",
        1 << 20,
        texts=[("digest",), ("sources", 0, "name")],
        strict=[*keys[1:], *counts],
        numbers=[*keys, *counts],
        required=[*keys, *counts],
        keyed=[*keys, *counts],
        sections=[(), ("counts",)],
        doubles=[*keys, *counts],
    )


def binary(change: Callable[[bytes, Random], bytes], folder: Path, random: Random) -> Call:
    """Damage of the database or the index; the manifest is left."""
    call = lay(folder)
    file = folder / "store" / random.choice(FILES)
    file.write_bytes(change(file.read_bytes(), random))
    return call


def flipped(data: bytes, random: Random) -> bytes:
    """A text in the database, or any byte of what a hash is kept of, turned into another."""
    place = data.find(b"wool")
    if place < 0:
        return m.flip(data, random) if not data.startswith(b"{") else m.cut(data, random)
    return (
        data[:place]
        + random.choice((b"silk", b"WOOL", b"\xff\xfe\xfd\xfc", b"w\x00ol", b"\xed\xa0\x80l"))
        + data[place + 4 :]
    )


def table(folder: Path, random: Random) -> Call:
    """Changes by SQLite itself, with the size set right."""
    call = lay(folder)
    file = folder / "store" / "store.sqlite"
    change = random.choice(
        (
            "UPDATE products SET content = '{'",
            "UPDATE products SET content = x'ff00' WHERE number = 1",
            "UPDATE products SET content = replace(content, '19.5', '1e999')",
            "UPDATE products SET content = replace(content, '[19.5]', '19.5')",
            f"UPDATE products SET content = '{'[' * 50_000}'",
            "UPDATE products SET asin = 'B7', content = replace(content, 'B2', 'B7') WHERE asin = 'B2'",
            "DELETE FROM products WHERE number = 1",
            "INSERT INTO products VALUES (9, 'B9', '{}')",
            "UPDATE synthetic SET product = 1",
            "UPDATE synthetic SET start = 5",
            "DELETE FROM human",
            "UPDATE human SET content = '[]'",
            "DROP TABLE human",
            "CREATE TABLE more (x)",
            "CREATE TRIGGER t AFTER INSERT ON products BEGIN SELECT 1; END",
            "ALTER TABLE human ADD COLUMN more",
            "DROP TABLE human; CREATE VIEW human AS WITH RECURSIVE x(number) AS (SELECT 1 UNION ALL SELECT number + 1 "
            "FROM x) SELECT number, 1 AS product, 1 AS place, '' AS content FROM x",
        )
    )
    database = sqlite3.connect(file)
    database.executescript(change)
    database.commit()
    database.execute("VACUUM")
    database.close()
    changed = manifest() | {"database_bytes": file.stat().st_size}
    (folder / "store" / "store.json").write_text(json.dumps(changed))
    return call


def edited(folder: Path, random: Random) -> Call:
    """Numbers of the manifest that are fine, and not those of the store."""
    tree = manifest()
    way = random.randrange(3)
    if way == 0:
        tree["counts"][random.choice(COUNTS)] += random.choice((1, -1, 10, 10**6, 10**15))
        tree["counts"] = {key: max(0, value) for key, value in tree["counts"].items()}
    elif way == 1:
        tree["database_bytes"] += random.choice((1, -1, 4096, 10**12))
    else:
        tree["digest"] = "".join(random.choices("0123456789abcdef", k=64))
    return sample().call(folder, json.dumps(tree))


def number(folder: Path, random: Random) -> Call:
    """Odd numbers in either manifest."""
    if random.random() < 0.5:
        return j.refused(sample())["number"](folder, random)
    call = lay(folder)
    file = folder / "store" / "index" / "index.json"
    tree = json.loads(file.read_text())
    key = random.choice(("documents", "documents_with_terms", "terms", "postings", "k1", "b"))
    raw = random.choice(
        (m.odd_number(random), str(10**30), "-1", "true", "null", '"7"', "0.5" if key not in "k1b" else "[]")
    )
    file.write_text(m.spliced(tree, (key,), raw))
    return call


def array(folder: Path, random: Random) -> Call:
    """Arrays that are something else: another type, shape or header, or what would be run."""
    import numpy as np

    call = lay(folder)
    file = folder / "store" / random.choice(BINARY)
    length = len(file.read_bytes())
    header = random.choice(
        (
            b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }",
            b"{'descr': '<i8', 'fortran_order': False, 'shape': (9999999999999999999999,), }",
            b"{'descr': '<i8', 'fortran_order': False, 'shape': (-3,), }",
            b"__import__('os').system('touch owned')",
            b"{" * 300,
            b"\x00" * 40,
            b"",
        )
    )
    content = np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header + b"\x00" * length
    file.write_bytes(
        random.choice((content[:length], b"\x80\x04." + content[: length - 3], b"PK\x03\x04" + content[: length - 4]))
    )
    return call


def size(folder: Path, random: Random) -> Call:
    if random.random() < 0.5:
        return j.refused(sample())["size"](folder, random)
    call = lay(folder)
    sparse(folder / "store" / random.choice(FILES), 10 << 30)
    return call


def place(folder: Path, random: Random) -> Call:
    call = lay(folder)
    name = random.choice((*FILES, "store.json"))
    return j.displaced(call, folder / "store" / name, random)


def escape(folder: Path, random: Random) -> Call:
    call = lay(folder)
    way = random.randrange(3)
    if way == 0:
        bank = random.choice(("~nobody_here/store", "n" * 300, "/dev/zero", "store/store.json", "a\nb\x1b[2J", "/"))
        return replace(call, words=["data", "webshop", "--data", bank, "--json"])
    name = random.choice((*FILES, "store.json"))
    shutil.copy(folder / "store" / name, folder / "elsewhere")
    (folder / "store" / name).unlink()
    (folder / "store" / name).symlink_to(random.choice((folder / "elsewhere", "/etc/passwd", "/proc/self/mem")))
    return call


def of_manifest(klass: str, folder: Path, random: Random) -> Call:
    return j.refused(sample())[klass](folder, random)


REFUSED: dict[str, Make] = {
    klass: partial(of_manifest, klass)
    for klass in ("surrogate", "depth", "type", "missing", "unknown", "misspelt", "duplicate", "empty")
}
REFUSED |= {
    "cut": lambda folder, random: random.choice((partial(binary, m.cut), partial(of_manifest, "cut")))(folder, random),
    "flip": partial(binary, flipped),
    "encoding": partial(of_manifest, "encoding"),
    "number": number,
    "bomb": table,
    "code": array,
    "edited": edited,
    "size": size,
    "place": place,
    "escape": escape,
    "mixed": partial(of_manifest, "mixed"),
}


# --- valid ---


def spelt(folder: Path, random: Random) -> Call:
    return sample().call(folder, m.json_spelling(manifest(), random))


def index_spelt(folder: Path, random: Random) -> Call:
    call = lay(folder)
    file = folder / "store" / "index" / "index.json"
    file.write_text(m.json_spelling(json.loads(file.read_text()), random))
    return call


def linked(folder: Path, random: Random) -> Call:
    """Links in the store that stay there, and a store that is a link."""
    call = lay(folder, "kept")
    name = random.choice((*FILES, "store.json"))
    file = folder / "kept" / name
    file.rename(file.with_name("moved"))
    file.symlink_to(random.choice(("moved", file.with_name("moved"))))
    (folder / "store").symlink_to("kept")
    return replace(call, words=["data", "webshop", "--data", random.choice(("store", "kept", "./kept/")), "--json"])


def more(folder: Path, random: Random) -> Call:
    """Files that are no part of it."""
    call = lay(folder)
    for _ in range(random.randint(1, 5)):
        (folder / "store" / random.choice(m.WORDS)).write_bytes(b"\xff")
    return call


KIND = Kind(
    "webshop_store",
    plain,
    REFUSED,
    {"spelling": spelt, "index": index_spelt, "link": linked, "more": more},
    read_back,
)
