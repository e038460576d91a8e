"""Whether the processes of now can go on from a checkpoint of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.errors import RunError
from sdar_cli.runs.store import Checkpoint
from sdar_cli.training.checkpoints import resumable


@pytest.fixture
def of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is found when processes of a number and a way to divide go on from a checkpoint of others."""

    def check(told: dict, processes: int, dist: str = "ddp") -> str | None:
        (tmp_path / resumable.STATE).write_text(json.dumps({"step": 3, **told}))
        monkeypatch.setattr(resumable, "written_by", lambda: {"processes": processes, "dist": dist})
        return resumable.check_processes(Checkpoint(3, tmp_path))

    return check


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        "null",
        "{}",
        '{"step": "3"}',
        '{"step": true}',
        '{"step": 3, "retriever": []}',
        '{"step": 3, "processes": 2}',
        '{"step": 3, "processes": "two", "dist": "ddp"}',
        '{"step": 3, "processes": 0, "dist": "ddp"}',
        '{"step": 3, "processes": 2, "dist": "rm -rf"}',
        '{"step": 3, "memory": {"update": 0}}',
        '{"step": 3, "memory": [1]}',
        '{"step": 3, "step": 4}',
        '{"step": NaN}',
    ],
)
def test_a_damaged_state_is_a_sentence(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "step-3"
    folder.mkdir()
    (folder / resumable.STATE).write_text(content)
    with pytest.raises(RunError, match=rf"move {folder} away, and `sdar resume` goes on from the checkpoint before it"):
        resumable.check_processes(Checkpoint(3, folder))


TRAINER = {
    "global_step": 3,
    "log_history": [{"loss": float("nan"), "step": 1}],
    "stateful_callbacks": {"TrainerControl": {"args": {}, "attributes": {}}},
    "epoch": 0.5,
    "max_steps": 8,
    "trial_name": None,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"global_step": 4},
        {"global_step": "3"},
        {"global_step": None},
        {"log_history": None},
        {"stateful_callbacks": None},
        {"stateful_callbacks": {}},
        {"epoch": "one"},
        {"max_steps": [8]},
        {"another": 1},
    ],
)
def test_a_damaged_trainers_state_is_a_sentence(tmp_path: Path, changes: dict) -> None:
    folder = tmp_path / "step-3"
    folder.mkdir()
    file = folder / resumable.TRAINER_STATE
    file.write_text(json.dumps(TRAINER))
    resumable.check_trainer_state(Checkpoint(3, folder))
    for content in (json.dumps(TRAINER | changes), "", "[" * 100_000, "[]", json.dumps(TRAINER)[:-9]):
        file.write_text(content)
        with pytest.raises(RunError, match=rf"{file} cannot be used .*: move {folder} away"):
            resumable.check_trainer_state(Checkpoint(3, folder))


def test_the_same_processes_go_on_in_silence(of) -> None:
    assert of({"processes": 2, "dist": "ddp"}, 2) is None
    assert of({"processes": 4, "dist": "zero3"}, 4, "zero3") is None


def test_a_checkpoint_of_before_is_taken_as_it_is(of) -> None:
    assert of({}, 8, "fsdp2") is None


@pytest.mark.parametrize(
    ("told", "now", "words"), [(1, 8, "of one process and 8 go on"), (8, 1, "of 8 processes and 1 go on")]
)
@pytest.mark.parametrize("dist", ["ddp", "fsdp2", "zero3"])
def test_another_number_is_said(of, told: int, now: int, words: str, dist: str) -> None:
    assert words in of({"processes": told, "dist": dist}, now, dist)


@pytest.mark.parametrize(
    ("told", "now", "remedy"),
    [
        ((2, "fsdp2"), (2, "ddp"), "resume with --dist fsdp2"),
        ((1, "ddp"), (8, "zero3"), "resume with --nproc 1"),
        ((4, "ddp"), (4, "fsdp2"), "resume with --nproc 4"),
    ],
)
def test_what_cannot_be_read_is_refused(of, told: tuple, now: tuple, remedy: str) -> None:
    with pytest.raises(RunError, match=remedy):
        of(dict(zip(("processes", "dist"), told, strict=True)), *now)


def test_deepspeeds_own_format_is_of_one_number(of, tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("global_step9")
    assert of({"processes": 4, "dist": "zero3"}, 4, "zero3") is None
    with pytest.raises(RunError, match="resume with as many"):
        of({"processes": 4, "dist": "zero3"}, 8, "zero3")
