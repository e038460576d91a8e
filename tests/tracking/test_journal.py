"""The journal: what is read is what was written, whatever happened between."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

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
    journal = Journal(tmp_path / "metrics.jsonl", fsync=True)
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
