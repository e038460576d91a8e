"""Whether the processes of now can go on from a checkpoint of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.errors import RunError
from sdar_cli.runs.store import Checkpoint
from sdar_cli.training import resumable


@pytest.fixture
def of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is found when processes of a number and a way to divide go on from a checkpoint of others."""

    def check(told: dict, processes: int, dist: str = "ddp") -> str | None:
        (tmp_path / resumable.STATE).write_text(json.dumps({"step": 3, **told}))
        monkeypatch.setattr(resumable, "written_by", lambda: {"processes": processes, "dist": dist})
        return resumable.check_processes(Checkpoint(3, tmp_path))

    return check


def test_the_same_processes_go_on_in_silence(of) -> None:
    assert of({"processes": 2, "dist": "ddp"}, 2) is None
    assert of({"processes": 4, "dist": "zero3"}, 4, "zero3") is None


def test_a_checkpoint_of_before_is_taken_as_it_is(of) -> None:
    assert of({}, 8, "fsdp2") is None


@pytest.mark.parametrize(
    ("told", "now", "words"), [(1, 8, "of one process and 8 go on"), (8, 1, "of 8 processes and 1 go on")]
)
@pytest.mark.parametrize("dist", ["ddp", "fsdp2"])
def test_another_number_is_said(of, told: int, now: int, words: str, dist: str) -> None:
    assert words in of({"processes": told, "dist": dist}, now, dist)


@pytest.mark.parametrize(
    ("told", "now", "remedy"),
    [
        ((2, "fsdp2"), (2, "ddp"), "resume with --dist fsdp2"),
        ((1, "ddp"), (8, "zero3"), "resume with --nproc 1"),
        ((4, "ddp"), (4, "fsdp2"), "resume with --nproc 4"),
        ((4, "zero3"), (8, "zero3"), "resume with as many"),
    ],
)
def test_what_cannot_be_read_is_refused(of, told: tuple, now: tuple, remedy: str) -> None:
    with pytest.raises(RunError, match=remedy):
        of(dict(zip(("processes", "dist"), told, strict=True)), *now)
