"""Damaged files of official questions: every kind is one sentence with file and place, and the undamaged is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from search_qa_files import seven, spoil, write

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
