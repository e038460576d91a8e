"""Search-QA's parquet: what `sdar data search-qa` reads. The counts that it prints before it refuses are left out."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import mutations as m
from garbage_places import sparse
from garbage_questions import WORDS, lay, rows
from harness import Call, Kind, Make, Outcome


def silent(call: Call) -> Call:
    return j.silent(call, "sdar_cli.cli.data.search_qa.print_json")


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    return [{key: split[key] for key in ("split", "questions", "in_other")} for split in json.loads(outcome.out)]


def bytes_changed(change: Callable[[bytes, Random], bytes], folder: Path, random: Random) -> Call:
    call = lay(folder)
    file = folder / "data" / f"{random.choice(('train', 'test'))}.parquet"
    file.write_bytes(change(file.read_bytes(), random))
    return silent(call)


def rows_changed(change: Callable[[list[Any], Random], Any], folder: Path, random: Random) -> Call:
    return silent(lay(folder, change(rows(), random), random.choice(("train", "test"))))


def _all(tree: list[Any], at: tuple[str, ...], value: Any) -> list[Any]:
    changed = deepcopy(tree)
    for row in changed:
        m.get(row, at[:-1])[at[-1]] = value
    return changed


QUESTION, TARGETS, TARGET = (
    ("env_kwargs", "question"),
    ("env_kwargs", "ground_truth"),
    ("env_kwargs", "ground_truth", "target"),
)
SOURCE = ("env_kwargs", "data_source")


def _type(tree: list[Any], random: Random) -> list[Any]:
    at = random.choice((QUESTION, SOURCE, TARGETS, TARGET, ("env_kwargs",)))
    values: list[Any] = [7, 7.5, True, [7], [[1]], {"odd": 1}, [{"odd": 1}], b"x", None]
    values += ["odd"] if at in (TARGETS[:1],) else []
    if at in (QUESTION, SOURCE):
        values.append(["odd"])
    return _all(tree, at, random.choice(values))


def _row(tree: list[Any], random: Random) -> list[Any]:
    """One row that says nothing where it should."""
    changed = deepcopy(tree)
    at, value = random.choice(
        (
            (QUESTION, random.choice((None, "", " \n\t"))),
            (SOURCE, random.choice((None, "", " "))),
            (TARGET, random.choice((None, [], [None], ["", " "]))),
            (TARGETS, None),
            (("env_kwargs",), None),
        )
    )
    m.get(changed[random.randrange(len(changed))], at[:-1])[at[-1]] = value
    return changed


def _missing(tree: list[Any], random: Random) -> list[Any]:
    changed = deepcopy(tree)
    at = random.choice((("env_kwargs",), QUESTION, TARGETS, TARGET, None))
    for row in changed:
        if at is None:
            del row["data_source"], row["env_kwargs"]["data_source"]
        elif at == TARGET:
            row["env_kwargs"]["ground_truth"] = {"zzz": ["x"]}
        else:
            del m.get(row, at[:-1])[at[-1]]
    return changed


def _misspelt(tree: list[Any], random: Random) -> list[Any]:
    at = random.choice((("env_kwargs",), QUESTION, TARGETS, TARGET))
    name = at[-1]
    place = random.randrange(len(name) + 1)
    wrong = name[:place] + random.choice("qxz_") + name[place:]
    changed = deepcopy(tree)
    for row in changed:
        parent = m.get(row, at[:-1])
        parent[wrong] = parent.pop(name)
    return changed


def _control(tree: list[Any], random: Random) -> list[Any]:
    """Names of data sources stand in tables and ids."""
    letter = random.choice([*m.CONTROL, "\u202e", "\u2028"])
    name = random.choice((f"n{letter}q", "x" * 100))
    changed = deepcopy(tree)
    changed[random.randrange(4)]["env_kwargs"]["data_source"] = name
    return changed


def encoding(folder: Path, random: Random) -> Call:
    """Columns of text whose bytes are none: latin-1, CESU, overlong."""
    import pyarrow as pa

    bad = random.choice((b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"\xff\xfe", b"\xf5\x80\x80\x80"))

    def texts(values: list[bytes]) -> pa.Array:
        offsets = pa.py_buffer(
            struct.pack(f"<{len(values) + 1}i", *(sum(map(len, values[:n])) for n in range(len(values) + 1)))
        )
        return pa.Array.from_buffers(pa.string(), len(values), [None, offsets, pa.py_buffer(b"".join(values))])

    def text(klass: str) -> pa.Array:
        values = [f"{klass}{number}".encode() for number in range(4)]
        if klass == spoilt:
            values[random.randrange(4)] = bad
        return texts(values)

    spoilt = random.choice(("question", "target", "source"))
    truth = pa.StructArray.from_arrays([text("target")], ["target"])
    kwargs = pa.StructArray.from_arrays(
        [text("question"), truth, text("source")], ["question", "ground_truth", "data_source"]
    )
    return silent(lay(folder, pa.table({"env_kwargs": kwargs})))


def duplicate(folder: Path, random: Random) -> Call:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows())
    name = random.choice(("env_kwargs", "data_source", "extra_info"))
    if random.random() < 0.5:
        return silent(lay(folder, table.append_column(name, table.column(name))))
    inner = pa.StructArray.from_arrays([pa.array(["q"] * 4), pa.array(["r"] * 4)], ["question", "question"])
    return silent(lay(folder, table.set_column(table.schema.get_field_index("env_kwargs"), "env_kwargs", inner)))


def bomb(folder: Path, random: Random) -> Call:
    """A small file of many rows, or of a footer that claims them."""
    import pyarrow as pa

    if random.random() < 0.05:
        count = 5_000_001
        kwargs = pa.StructArray.from_arrays(
            [pa.nulls(count, pa.string()), pa.nulls(count, pa.string()), pa.nulls(count, pa.string())],
            ["question", "ground_truth", "data_source"],
        )
        return silent(lay(folder, pa.table({"env_kwargs": kwargs}), row_group_size=count))
    return bytes_changed(_footer, folder, random)


def _footer(data: bytes, random: Random) -> bytes:
    """The footer replaced by one of nonsense, its length kept or not."""
    (length,) = struct.unpack("<I", data[-8:-4])
    body = data[: -8 - length]
    footer = random.choice(
        (b"\x15\x80" * (length // 2), b"\xff" * length, b"\x19\xfc" + b"\xff" * length, random.randbytes(length))
    )
    said = random.choice((len(footer), 0, 2**31, 2**32 - 1, len(data) * 9))
    return body + footer + struct.pack("<I", said) + random.choice((b"PAR1", b"PARE", b"PAR2"))


def size(folder: Path, random: Random) -> Call:
    call = lay(folder)
    sparse(folder / "data" / f"{random.choice(('train', 'test'))}.parquet", 10 << 30)
    return silent(call)


def empty(folder: Path, random: Random) -> Call:
    if random.random() < 0.2:
        return bytes_changed(lambda data, random: b"PAR1" * random.choice((1, 2, 3)), folder, random)
    return bytes_changed(lambda data, random: m.nothing(random), folder, random)


def place(folder: Path, random: Random) -> Call:
    call = lay(folder)
    return silent(j.displaced(call, folder / "data" / f"{random.choice(('train', 'test'))}.parquet", random))


def escape(folder: Path, random: Random) -> Call:
    call = lay(folder)
    if random.random() < 0.4:
        named = random.choice(("~nobody_here/x", "n" * 300, "/dev/zero", "data/train.parquet", "a\nb\x1b[2J", "/"))
        return silent(replace(call, words=["data", "search-qa", "--data", named, "--json"]))
    file = folder / "data" / f"{random.choice(('train', 'test'))}.parquet"
    file.unlink()
    file.symlink_to(random.choice(("../elsewhere", folder / "elsewhere", "/dev/zero", "../../../../..", "x\n" * 99)))
    return silent(call)


REFUSED: dict[str, Make] = {
    "cut": partial(bytes_changed, m.cut),
    "encoding": encoding,
    "control": partial(rows_changed, _control),
    "size": size,
    "bomb": bomb,
    "type": partial(rows_changed, _type),
    "number": partial(rows_changed, _row),
    "missing": partial(rows_changed, _missing),
    "misspelt": partial(rows_changed, _misspelt),
    "duplicate": duplicate,
    "empty": empty,
    "place": place,
    "escape": escape,
    "mixed": lambda folder, random: bytes_changed(
        lambda data, random: m.cut(_footer(data, random), random), folder, random
    ),
}


# --- valid ---


def spelt(folder: Path, random: Random) -> Call:
    """Other types, orders of columns, groups, packings of the same rows."""
    import pyarrow as pa

    table = pa.Table.from_pylist([m.shuffled(row, random) for row in rows()])
    table = table.select(random.sample(table.column_names, len(table.column_names)))
    if random.random() < 0.5:
        table = table.cast(pa.schema([_widened(field, random) for field in table.schema]))
    return lay(
        folder,
        table,
        row_group_size=random.choice((1, 3, 1000)),
        compression=random.choice(("none", "snappy", "gzip", "zstd")),
        use_dictionary=random.random() < 0.5,
        data_page_version=random.choice(("1.0", "2.0")),
    )


def _widened(field: Any, random: Random) -> Any:
    import pyarrow as pa

    kind = field.type
    if pa.types.is_string(kind):
        return field.with_type(pa.large_string())
    if pa.types.is_struct(kind):
        return field.with_type(pa.struct([_widened(inner, random) for inner in kind]))
    if pa.types.is_list(kind) and random.random() < 0.5:
        return field.with_type(pa.large_list(kind.value_field))
    return field


def more(folder: Path, random: Random) -> Call:
    """Columns that nobody reads, and indices that no id could hold."""
    tree = rows()
    for row in tree:
        row[random.choice(("größer", "zzz"))] = random.choice((1, 2))
        row["extra_info"] = random.choice(({"index": f"x\x1b{random.random()}"}, {"index": "a/b"}, None))
    return lay(folder, tree)


def linked(folder: Path, random: Random) -> Call:
    lay(folder)
    (folder / "data").rename(folder / "kept")
    (folder / "data").symlink_to("kept")
    place = random.choice((folder / "kept" / "x", folder / "elsewhere"))
    (folder / "kept" / "train.parquet").rename(place)
    (folder / "kept" / "train.parquet").symlink_to(place)
    return Call(WORDS)


KIND = Kind(
    "parquet",
    plain,
    REFUSED,
    {"spelling": spelt, "more": more, "link": linked},
    read_back,
    {"flip": partial(bytes_changed, m.flip)},
)
