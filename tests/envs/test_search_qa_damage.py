"""Damaged files of official questions: every kind is one sentence with file and place, and the undamaged is read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from search_qa_files import seven, spoil, table, write

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.search_qa import official
from sdar_envs.search_qa.official import read_tasks

Rows = list[dict[str, Any]]


def changed(**columns: Any) -> Callable[[Rows], Rows]:
    """Row 8 with other values, by dotted path with two underscores for a dot; a callable gets the old one."""

    def change(rows: Rows) -> Rows:
        for path, value in columns.items():
            *outer, last = path.split("__")
            inside = rows[8]
            for name in outer:
                inside = inside[name]
            inside[last] = value
        return rows

    return change


def without(path: str) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        *outer, last = path.split(".")
        for row in rows:
            for name in outer:
                row = row[name]
            del row[last]
        return rows

    return change


def everywhere(path: str, value: Any) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        *outer, last = path.split(".")
        for row in rows:
            for name in outer:
                row = row[name]
            row[last] = value
        return rows

    return change


def no_source(rows: Rows) -> Rows:
    return without("data_source")(without("env_kwargs.data_source")(rows))


IN_ROWS: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "no env_kwargs": (without("env_kwargs"), " has no column env_kwargs.question: "),
    "no question": (without("env_kwargs.question"), " has no column env_kwargs.question: "),
    "no ground truth": (without("env_kwargs.ground_truth"), " has no column env_kwargs.ground_truth: "),
    "no data source": (no_source, " has no column data_source: "),
    "kwargs as text": (everywhere("env_kwargs", "{}"), " has no column env_kwargs.question: "),
    "a question of numbers": (
        everywhere("env_kwargs.question", 3),
        ": the column env_kwargs.question holds int64, not text: ",
    ),
    "targets of numbers": (
        everywhere("env_kwargs.ground_truth.target", [3]),
        ": the column env_kwargs.ground_truth.target holds int64, not text: ",
    ),
    "a ground truth of other keys": (
        everywhere("env_kwargs.ground_truth", {"answers": ["x"]}),
        ": the column env_kwargs.ground_truth holds struct<answers: list<element: string>>, not text: ",
    ),
    "a data source of numbers": (
        everywhere("env_kwargs.data_source", 1.5),
        ": the column env_kwargs.data_source holds double, not text: ",
    ),
    "questions of nothing": (everywhere("env_kwargs.question", None), ": row 0 has no text in env_kwargs.question: "),
    "one null question": (changed(env_kwargs__question=None), ": row 8 has no text in env_kwargs.question: "),
    "one blank question": (changed(env_kwargs__question=" \n"), ": row 8 has no text in env_kwargs.question: "),
    "one row of nothing": (changed(env_kwargs=None), ": row 8 has no text in env_kwargs.question: "),
    "one null source": (changed(env_kwargs__data_source=None), ": row 8 has no text in data_source: "),
    "one target of nothing": (
        changed(env_kwargs__ground_truth=None),
        ": row 8 has no golden answer under env_kwargs.ground_truth: ",
    ),
    "one empty list": (
        changed(env_kwargs__ground_truth={"target": []}),
        ": row 8 has no golden answer under env_kwargs.ground_truth: ",
    ),
    "one list of blanks": (
        changed(env_kwargs__ground_truth={"target": ["", "  ", None]}),
        ": row 8 has no golden answer under env_kwargs.ground_truth: ",
    ),
}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: -file.stat().st_size // 3])


def spoilt(file: Path) -> None:
    spoil(file, "env_kwargs.question", 2)


IN_BYTES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, " is not there: "),
    "cut short": (cut, " is no parquet file, or is cut short ("),
    "empty": (lambda file: file.write_bytes(b""), " is no parquet file, or is cut short ("),
    "another format": (
        lambda file: file.write_text('{"question": 1}\n' * 99),
        " is no parquet file, or is cut short (",
    ),
    "pages overwritten": (spoilt, " is damaged after row 10 of 14 ("),
}


def refused(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "ROWS", 5)
    with pytest.raises(EnvironmentSetupError) as caught:
        read_tasks(str(folder), "test")
    message = str(caught.value)
    assert message.startswith(f"{folder / 'test.parquet'}{where}"), message
    assert message.isprintable() and len(message) < 600
    assert message.rpartition(": ")[2].split()[0] in ("restore", "give", "name"), "it ends with the remedy"


@pytest.mark.parametrize("damage", IN_ROWS)
def test_a_malformed_table_is_refused(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, where = IN_ROWS[damage]
    write(tmp_path / "test.parquet", change(seven()))
    refused(tmp_path, where, monkeypatch)
    write(tmp_path / "test.parquet", seven())
    assert len(read_tasks(str(tmp_path), "test")) == 14, "the control"


@pytest.mark.parametrize("damage", IN_BYTES)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, where = IN_BYTES[damage]
    change(write(tmp_path / "test.parquet", seven()))
    refused(tmp_path, where, monkeypatch)
    write(tmp_path / "test.parquet", seven())
    assert len(read_tasks(str(tmp_path), "test")) == 14, "the control"


def test_a_folder_in_the_files_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test.parquet").mkdir()
    refused(tmp_path, " is a folder, not a file: ", monkeypatch)


def sentence(folder: Path) -> str:
    with pytest.raises(EnvironmentSetupError) as caught:
        read_tasks(str(folder), "test")
    message = str(caught.value)
    assert message.startswith(str(folder / "test.parquet")) and ": restore the file" in message
    return message


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    import pyarrow as pa

    for bad in (b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80"):
        offsets = pa.py_buffer(np.array([0, 2, 2 + len(bad)], np.int32).tobytes())
        texts = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"ok" + bad)])
        names = ["question", "ground_truth", "data_source"]
        for place in range(3):
            columns = [texts if place == number else pa.array(["a", "b"]) for number in range(3)]
            write(tmp_path / "test.parquet", pa.table({"env_kwargs": pa.StructArray.from_arrays(columns, names)}))
            assert "text that is not UTF-8 after row 0 of 2" in sentence(tmp_path)


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table_ = table(seven())
    write(tmp_path / "test.parquet", table_.append_column("env_kwargs", table_.column("env_kwargs")))
    assert "has two columns env_kwargs" in sentence(tmp_path)


def test_sizes_that_a_few_bytes_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "test.parquet", seven())
    with monkeypatch.context() as patch:
        patch.setattr(official, "MOST_ROWS", 13)
        assert "has more than 13 rows" in sentence(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(official, "MOST_BYTES", 100)
        assert "unpacks to more than 0 MiB of questions" in sentence(tmp_path)
    assert len(read_tasks(str(tmp_path), "test")) == 14


def test_what_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "test.parquet"
    (tmp_path / "folder").mkdir()
    for make, complaint in (
        (lambda: os.mkfifo(file), "is a pipe, not a file"),
        (lambda: file.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda: file.symlink_to("folder"), "is a folder, not a file"),
        (lambda: file.symlink_to(file.name), r"cannot be read \(Too many levels"),
    ):
        make()
        with pytest.raises(EnvironmentSetupError, match=complaint):
            read_tasks(str(tmp_path), "test")
        file.unlink()


def test_what_stands_in_ids_and_tables_can_be_printed(tmp_path: Path) -> None:
    rows = seven(1)
    for row in rows:
        row["extra_info"] = {"index": "x\x1b[2J"}
    rows[0]["extra_info"]["index"] = "q-17"
    write(tmp_path / "test.parquet", rows)
    ids = [task.id for task in read_tasks(str(tmp_path), "test")]
    assert ids[0].startswith("test/nq-q-17-") and ids[1].startswith("test/triviaqa-row-1-")
    assert all(map(str.isprintable, ids))
    rows[3]["env_kwargs"]["data_source"] = "n\x1b[2Jq"
    write(tmp_path / "test.parquet", rows)
    assert "row 3 has a data source that is no name ('n\\x1b[2jq')" in sentence(tmp_path)
