"""The journal: what is read is what was written, whatever happened between."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.runs.checkpoints import Checkpoints
from sdar_cli.runs.listing import _last_evaluation as last_success
from sdar_cli.tracking.journal import Journal


def test_lines_of_a_step_are_merged_and_the_last_wins(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run" / "metrics.jsonl")
    assert journal.read() == []
    journal.append(2, {"a": 1.0})
    journal.append(1, {"a": 0.5})
    journal.append(2, {"a": 2.0, "b": 3.0})
    assert journal.read() == [{"step": 1, "a": 0.5}, {"step": 2, "a": 2.0, "b": 3.0}]
    assert len(journal.path.read_text().splitlines()) == 3


def test_a_rewound_run_forgets_what_came_after(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in range(1, 6):
        journal.append(step, {"a": float(step), "old": 1.0})
    journal.rewind(3)
    journal.append(4, {"a": 40.0})
    assert [row["step"] for row in journal.read()] == [1, 2, 3, 4]
    assert journal.read()[-1] == {"step": 4, "a": 40.0}


def test_values_that_are_not_finite_come_back_as_nan(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append(1, {"a": math.inf, "b": math.nan, "c": 1.0})
    (row,) = journal.read()
    assert math.isnan(row["a"]) and math.isnan(row["b"]) and row["c"] == 1.0
    assert "NaN" not in journal.path.read_text() and "Infinity" not in journal.path.read_text()


@given(st.data())
def test_a_line_cut_by_a_kill_costs_that_line_only(tmp_path_factory, data: st.DataObject) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "metrics.jsonl")
    for step in (1, 2, 3):
        journal.append(step, {"rollout/success": step / 4})
    whole = journal.path.read_bytes()
    last = len(whole) - len(whole.splitlines(keepends=True)[-1])
    journal.path.write_bytes(whole[: data.draw(st.integers(last, len(whole)))])
    journal.append(4, {"rollout/success": 1.0})
    rows = {int(row["step"]): row["rollout/success"] for row in journal.read()}
    assert rows.items() >= {1: 0.25, 2: 0.5, 4: 1.0}.items()
    assert set(rows) <= {1, 2, 3, 4}


GARBAGE = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"rewind": "x"}',
    b'{"rewind": null}',
    b'{"rewind": true}',
    b'{"rewind": -1}',
    b'{"rewind": 1e999}',
    b'{"step": "2", "a": 9.0}',
    b'{"step": true, "a": 9.0}',
    b'{"step": 2.0, "a": 9.0}',
    b'{"step": -2, "a": 9.0}',
    b'{"step": 2, "a": 9.0',
    b'{"step": 2, "a": 1' + b"0" * 5000 + b"}",
    b'{"step": 99999999999999999999, "a": 9.0}',
    b"\0" * 512,
    b"\xff\xfe",
    b'"a"',
    b"null",
    b"2",
    b"",
]
"""Lines that say nothing, as a machine that goes down, or an editor, leaves them."""


@pytest.mark.parametrize("line", GARBAGE, ids=[repr(line[:24]) for line in GARBAGE])
def test_a_garbage_line_costs_itself_alone(tmp_path: Path, line: bytes) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append(1, {"a": 0.5})
    with journal.path.open("ab") as file:
        file.write(line + b"\n")
    journal.append(2, {"a": 1.0})
    assert journal.read() == [{"step": 1, "a": 0.5}, {"step": 2, "a": 1.0}]


def test_a_list_of_runs_reads_past_garbage_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append(2, {"eval/no_skills/success": 0.5})
    with journal.path.open("ab") as file:
        file.write(b'{"eval/no_skills/success": ' + b"[" * 60_000 + b"\n")
    assert last_success(tmp_path) == 0.5


@pytest.mark.parametrize("value", ['"high"', "[1]", "true", "{}", "NaN", "1e999", "99999999999999999999"])
def test_a_value_that_is_no_number_is_left_out(tmp_path: Path, value: str) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.path.write_text(f'{{"step": 1, "a": {value}, "b": 2}}\n')
    assert journal.read() == [{"step": 1, "b": 2}]


@given(st.binary(max_size=200), st.integers(0, 3))
def test_whatever_bytes_stand_in_it_reading_ends(tmp_path_factory, noise: bytes, place: int) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "metrics.jsonl")
    for step in (1, 2, 3):
        journal.append(step, {"a": step / 4})
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*lines[:place], noise, b"\n", *lines[place:]]))
    for row in journal.read():
        assert all(isinstance(value, int | float) for value in row.values())


def test_what_it_holds(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    values = {"eval/no_skills/success": 0.25, "eval/no_skills/score": math.nan}
    assert not journal.holds(0, values)
    journal.append(0, values)
    assert journal.holds(0, values) and not journal.holds(1, values)
    assert not journal.holds(0, values | {"eval/no_skills/success": 0.5})
    assert not journal.holds(0, values | {"eval/skills/success": 0.5})


KEYS = ("a", "eval/no_skills/success", 'quoted "rewind"', "b")
ENTRIES = st.fixed_dictionaries(
    {"step": st.integers(0, 3)}, optional=dict.fromkeys(KEYS, st.none() | st.booleans() | st.floats(-1, 1))
) | st.fixed_dictionaries({"rewind": st.integers(0, 3)})


@given(st.lists(ENTRIES, max_size=12), st.sets(st.sampled_from(KEYS), min_size=1))
def test_some_of_its_values_are_what_the_whole_has_of_them(tmp_path_factory, entries, names) -> None:
    """Also where a line was written by somebody who escapes letters."""
    journal = Journal(tmp_path_factory.mktemp("journal") / "metrics.jsonl")
    escaped = (json.dumps(entry).replace("eval", "\\u0065val") for entry in entries[::2])
    plain = (json.dumps(entry) for entry in entries[1::2])
    pairs = itertools.zip_longest(escaped, plain, fillvalue="")
    journal.path.write_text("".join(f"{line}\n" for pair in pairs for line in pair))
    wanted = [{name: row[name] for name in ("step", *names) if name in row} for row in journal.read()]
    assert repr(sort(journal.read(names))) == repr(sort([row for row in wanted if len(row) > 1]))


def sort(rows: list[dict[str, float]]) -> list[list[tuple[str, float]]]:
    return [sorted(row.items()) for row in rows]


def test_what_an_evaluation_asks_for_costs_the_lines_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of days of steps, with dozens of values each, few have an evaluation."""
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in range(200):
        journal.append(step, {"loss/total": 1.0, "rewinding": 2.0})
    journal.append(100, {"eval/no_skills/success": 0.5})
    read: list[bytes] = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda line: read.append(line) or loads(line))
    assert journal.read(["eval/no_skills/success"]) == [{"step": 100, "eval/no_skills/success": 0.5}]
    assert journal.holds(100, {"eval/no_skills/success": 0.5})
    assert Checkpoints(tmp_path).best() == [] and len(read) == 3


def test_it_is_put_on_the_disk_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.sync()
    journal.append(1, {"a": 0.5})
    assert flushed == [], "a step waits for no disk"
    journal.sync()
    assert flushed == [str(journal.path), str(tmp_path)]


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(tmp_path / "metrics.jsonl")
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunFailed, match="the disk is full"):
        journal.append(1, {"a": 0.5})


def test_a_pipe_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(RunError, match="is a pipe, not a file"):
        Journal(tmp_path / "metrics.jsonl").read()
