"""The official questions, read as they are."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from search_qa_files import SOURCES, question, seven, spoil, table, write

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.panel_diff import PanelDiff
from sdar_cli.evaluation.result import EpisodeRecord, Summary
from sdar_envs.base import Task
from sdar_envs.search_qa import official
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.search_qa.official import read_tasks

Rows = list[dict[str, Any]]


def read(folder: Path, split: str = "test") -> list[Any]:
    return read_tasks(str(folder), split)


def number_of(task: Task) -> str:
    """An id without the hash of its content."""
    number, _, content = task.id.rpartition("-")
    assert re.fullmatch(r"[0-9a-f]{8}", content), task.id
    return number


# --- as they are ---


def test_seven_data_sets_are_read_in_the_files_order(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", seven())
    tasks = SearchQa(SearchQaOptions(data=str(tmp_path))).tasks("test")
    assert [(number_of(task), task.task_type) for task in tasks] == [
        (f"test/{source}-{number}", source) for source in SOURCES for number in range(2)
    ]
    assert tasks[0].id == "test/nq-0-44eb5bc4"
    assert tasks[3].goal == "Who rang bell 1 of triviaqa?"
    assert tasks[3].data == {"targets": ("Answer 1", "another")}
    assert SearchQa(SearchQaOptions(data=str(tmp_path))).expert(tasks[0]) is None


def test_a_folder_of_hugging_faces_cache(tmp_path: Path) -> None:
    """What lies in a revision's folder are links into the blobs beside."""
    repository = tmp_path / "datasets--someone--questions"
    revision = repository / "snapshots" / ("0123456789" * 4)
    revision.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for split, rows in (("test", seven()), ("train", seven(3))):
        blob = write(repository / "blobs" / split, rows)
        (revision / f"{split}.parquet").symlink_to(Path("..", "..", "blobs", blob.name))
    (tmp_path / "plain").mkdir()
    write(tmp_path / "plain" / "test.parquet", seven())
    assert read(revision) == read(tmp_path / "plain")
    assert len(read(revision, "train")) == 21


def test_files_of_a_folder_that_was_named_may_be_links_to_anywhere(tmp_path: Path) -> None:
    for place, rows in (("train", seven(3)), ("test", seven())):
        (tmp_path / place).mkdir()
        write(tmp_path / place / "rows", rows)
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}.parquet").symlink_to(tmp_path / split / "rows")
    assert [len(read(tmp_path / "data", split)) for split in ("train", "test")] == [21, 14]


def test_the_folder_is_found_by_the_variable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "train.parquet", seven(1))
    monkeypatch.setenv("SDAR_SEARCH_QA", str(tmp_path))
    assert len(read_tasks(None, "train")) == 7
    monkeypatch.delenv("SDAR_SEARCH_QA")
    with pytest.raises(
        EnvironmentSetupError, match=r"no folder of official Search-QA questions is named: set .*--data"
    ):
        read_tasks(None, "train")


def as_string(rows: Rows) -> pa.Table:
    return table([question(n, target="Ann") for n in range(len(rows))])


def as_bare_string(rows: Rows) -> pa.Table:
    return table([row | {"env_kwargs": row["env_kwargs"] | {"ground_truth": "Ann"}} for row in rows])


def as_numpy(rows: Rows) -> pa.Table:
    return table([question(n, target=np.array(["Ann", "Bo"], dtype=object)) for n in range(len(rows))])


def as_pandas(rows: Rows) -> pa.Table:
    """As a data frame whose cells are arrays writes it."""
    frame = table(rows).to_pandas()
    assert isinstance(frame["env_kwargs"][0]["ground_truth"]["target"], np.ndarray)
    return pa.Table.from_pandas(frame)


def with_large_types(rows: Rows) -> pa.Table:
    kwargs = pa.struct(
        {
            "ground_truth": pa.struct({"target": pa.large_list(pa.large_string())}),
            "question": pa.large_string(),
            "data_source": pa.large_string(),
        }
    )
    return pa.table({"env_kwargs": pa.array([row["env_kwargs"] for row in rows], kwargs)})


VALID: dict[str, tuple[Callable[[Rows], Any], tuple[str, ...]]] = {
    "a list": (lambda rows: rows, ("Answer 0", "another")),
    "a string": (as_string, ("Ann",)),
    "a string in place of the struct": (as_bare_string, ("Ann",)),
    "an array": (as_numpy, ("Ann", "Bo")),
    "a data frame": (as_pandas, ("Answer 0", "another")),
    "large types": (with_large_types, ("Answer 0", "another")),
    "blank ones and nulls among them": (
        lambda rows: [question(n, target=["", "Ann", None, " "]) for n in range(len(rows))],
        ("Ann",),
    ),
    "further columns": (
        lambda rows: [row | {"more": n, "prompt2": "x"} for n, row in enumerate(rows)],
        ("Answer 0", "another"),
    ),
    "only what is read": (
        lambda rows: [{"env_kwargs": row["env_kwargs"]} for row in rows],
        ("Answer 0", "another"),
    ),
    "compressed otherwise": (lambda rows: rows, ("Answer 0", "another")),
}


@pytest.mark.parametrize("case", VALID)
def test_what_targets_and_columns_may_look_like(tmp_path: Path, case: str) -> None:
    change, targets = VALID[case]
    content = change([question(number) for number in range(7)])
    file = write(tmp_path / "test.parquet", content)
    if case == "compressed otherwise":
        pq.write_table(table(content), file, compression="zstd", use_dictionary=False, version="1.0")
    tasks = read(tmp_path)
    assert len(tasks) == 7
    assert (tasks[0].task_type, tasks[0].data["targets"]) == ("nq", targets)
    assert all(type(target) is str for task in tasks for target in task.data["targets"])


def test_the_data_source_is_the_type_in_lower_case_also_an_unknown_one(tmp_path: Path) -> None:
    rows = [question(0, "NQ"), question(1, "searchR1_PopQA"), question(2, "MyOwn "), question(3, "searchr1_")]
    write(tmp_path / "test.parquet", rows)
    assert [task.task_type for task in read(tmp_path)] == ["nq", "popqa", "myown", "searchr1_"]
    for row in rows:
        del row["env_kwargs"]["data_source"]
    write(tmp_path / "test.parquet", rows)
    assert [task.task_type for task in read(tmp_path)] == ["nq", "searchr1_popqa", "myown", "searchr1_"], (
        "the outer one"
    )


def test_ids_are_unique_and_do_not_move_when_rows_do(tmp_path: Path) -> None:
    rows = seven(2)
    write(tmp_path / "test.parquet", rows[3:])
    few = {task.id: task.goal for task in read(tmp_path)}
    write(tmp_path / "test.parquet", rows)
    many = {task.id: task.goal for task in read(tmp_path)}
    assert few.items() <= many.items() and len(many) == 14
    double = [question(0), question(0), question(1) | {"extra_info": {"index": None}}]
    write(tmp_path / "test.parquet", double)
    assert [number_of(task) for task in read(tmp_path)] == ["test/nq-0", "test/nq-row-1", "test/nq-row-2"]
    for row in double:
        del row["extra_info"]
    write(tmp_path / "test.parquet", double)
    assert [number_of(task) for task in read(tmp_path)] == [f"test/nq-row-{number}" for number in range(3)]


def test_panels_of_other_questions_under_the_same_numbers_differ(tmp_path: Path) -> None:
    def panel(folder: str, **changes: Any) -> Panel:
        rows = seven(2)
        for row in rows:
            row["env_kwargs"] |= changes
        write(tmp_path / folder / "test.parquet", rows)
        return Panel.make(SearchQa(SearchQaOptions(data=str(tmp_path / folder))), "test", 7, 0)

    first = panel("first", ground_truth={"target": ["Ann", "Bo"]})
    assert panel("again", ground_truth={"target": ["Bo", "Ann"]}).digest == first.digest, "order does not matter"
    assert panel("more", ground_truth={"target": ["Ann", "Bo", "Cy"]}).digest != first.digest
    assert panel("joined", ground_truth={"target": ["AnnBo"]}).digest != first.digest
    other = panel("other", ground_truth={"target": ["Ann", "Bo"]}, question="Who else?")
    assert not set(other.task_ids) & set(first.task_ids) and not PanelDiff.of(first, other).equal


# --- training without the test's questions ---


def trained(folder: Path) -> list[str]:
    return [task.goal for task in SearchQa(SearchQaOptions(data=str(folder))).tasks("train")]


def test_training_leaves_out_what_the_test_asks_word_for_word(tmp_path: Path) -> None:
    rows = [question(number) for number in range(10, 15)]
    rows[1]["env_kwargs"]["question"] = "who  RANG the bell, 0 of popqa"
    rows[3]["env_kwargs"]["question"] = "Who rang bell 1 of nq?"
    write(tmp_path / "train.parquet", rows)
    everything = [row["env_kwargs"]["question"] for row in rows]
    assert trained(tmp_path) == everything, "no test file, nothing to leave out"
    write(tmp_path / "test.parquet", seven())
    assert trained(tmp_path) == [everything[0], everything[2], everything[4]]
    assert len(read(tmp_path)) == 14 and len(read(tmp_path, "train")) == 5, "the files stay whole"
    before = {task.id for task in read(tmp_path, "train")}
    assert {task.id for task in official.training_tasks(str(tmp_path))} < before, "the others keep their ids"


def test_training_on_the_tests_own_questions_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / f"{split}.parquet", seven())
    with pytest.raises(EnvironmentSetupError, match=r"train.parquet holds no question that test.parquet does not ask"):
        trained(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "a folder", "a broken link"])
def test_a_test_file_that_cannot_be_read_ends_training(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "train.parquet", [question(10)])
    file = tmp_path / "test.parquet"
    if damage == "cut":
        file.write_bytes(write(file, seven()).read_bytes()[:-9])
    elif damage == "a folder":
        file.mkdir()
    else:
        file.symlink_to("gone")
    says = {"cut": "is no parquet file, or is cut short", "a folder": "is a folder, not a file"}
    with pytest.raises(EnvironmentSetupError, match=f"^{re.escape(str(file))} {says.get(damage, 'does not exist')}"):
        trained(tmp_path)


def test_both_means_are_over_the_types_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", seven(4))
    wins = {source: share for share, source in enumerate(SOURCES)}  # of 4: 0, 1, 2, 3, 4, 4, 4
    records = [
        EpisodeRecord(
            task.id, task.task_type, int(number_of(task)[-1]) < wins[task.task_type], 0.0, 0.0, 1, 1, 1, 0, "failure"
        )
        for task in read(tmp_path)
    ]
    means = Summary.of(records, means=SearchQa.means).means
    assert {name: mean.estimate for name, mean in means.items()} == {
        "mean of seven": pytest.approx((0 + 1 + 2 + 3 + 4 + 4 + 4) / 28),
        "mean without bamboogle": pytest.approx((0 + 1 + 2 + 3 + 4 + 4) / 24),
    }
    some = Summary.of([record for record in records if record.task_type != "bamboogle"], means=SearchQa.means).means
    assert set(some) == {"mean without bamboogle"}


def test_only_the_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    """Another column's pages may be damaged."""
    file = write(tmp_path / "test.parquet", seven())
    spoil(file, "ability", 1)
    assert len(read(tmp_path)) == 14
    with pytest.raises((pa.ArrowException, OSError)):
        pq.read_table(file)


def test_progress_is_told_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "ROWS", 5)
    write(tmp_path / "test.parquet", seven())
    reports: list[tuple[int, int]] = []
    read_tasks(str(tmp_path), "test", lambda *report: reports.append(report))
    assert reports == [(5, 14), (10, 14), (14, 14)]
