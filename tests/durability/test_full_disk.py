"""A disk that is full, broken or not ours: one sentence with a remedy, and what was there is whole."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.disk import disk, error_number
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

LIMIT = 50_000
"""Bytes that a file may have in the tests of real short writes."""


def within(limit: int, work: Callable[[], object]) -> str:
    """What was said by work in a process whose files may have so many bytes: the kernel ends a write in its middle."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        told = "nothing went wrong"
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            work()
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(write, told.encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return told


def by_python(path: Path) -> None:
    path.write_bytes(b"0" * 2 * LIMIT)


def by_copying(path: Path) -> None:
    run = path.parents[2]
    (run / "source" / "part").mkdir(parents=True)
    os.link(run / "large", run / "source" / "part" / "file")
    shutil.copytree(run / "source", path)


def by_safetensors(path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"weights": np.zeros(LIMIT)}, path)


def by_torch(path: Path) -> None:
    import torch

    torch.save({"weights": torch.zeros(LIMIT)}, path)


def by_tokenizers(path: Path) -> None:
    from tokenizers import Tokenizer, models

    words = {f"word{number}": number for number in range(LIMIT // 10)}
    Tokenizer(models.WordLevel(words, unk_token="word0")).save(str(path))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "runs", load_recipe("quickstart"), "mine")
    (made.path / "large").write_bytes(b"0" * 2 * LIMIT)
    with made.saving_checkpoint(5) as folder:
        (folder / "weights").write_text("whole")
    return made


@pytest.mark.parametrize("writer", [by_python, by_copying, by_safetensors, by_torch, by_tokenizers])
def test_a_short_write_of_whoever_is_one_sentence(run: RunFolder, writer: Callable[[Path], None]) -> None:
    def save() -> None:
        with run.saving_checkpoint(10) as folder:
            writer(folder / "file")

    told = within(LIMIT, save)
    assert told.startswith(f"RunFailed: the checkpoint of step 10 cannot be written in {run.path / 'checkpoints'}, as ")
    reason = "the disk is full" if writer is by_torch else "the system allows no file that large"
    assert reason in told and told.endswith("and go on with `sdar resume`") and "\n" not in told
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step-5"], "no part is left"
    assert run.usable_checkpoint(pytest.fail).step == 5


@pytest.mark.parametrize(
    "write",
    [
        lambda run: run.update(step=3),
        lambda run: run.save_evaluation("base", {"values": [0] * LIMIT}),
        lambda run: Journal(run.path / "metrics.jsonl").append(1, {f"value/{n}": 0.5 for n in range(3000)}),
        lambda run: RunFolder.create(run.path.parent, load_recipe("quickstart"), "other"),
    ],
)
def test_small_files_too(run: RunFolder, write: Callable[[RunFolder], object]) -> None:
    before = run.state
    told = within(1000, lambda: write(run))
    assert told.startswith("RunFailed: ") and "as the system allows no file that large" in told
    assert run.state == before and not (run.path.parent / "other").exists() and run.evaluations() == {}


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full: free some space there"),
        (errno.EDQUOT, "the quota is used up: free some space there"),
        (errno.EIO, "the disk reports an error: have it looked at"),
        (errno.EROFS, "the file system is read-only: have it mounted for writing"),
        (errno.ESTALE, "the file server lost the folder: have it mounted anew"),
    ],
)
def test_what_the_system_says_is_a_reason_and_a_remedy(tmp_path: Path, number: int, reason: str) -> None:
    with pytest.raises(RunFailed) as caught, disk(tmp_path, "the base"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value).startswith(f"the base cannot be written in {tmp_path}, as {reason}")
    assert str(caught.value).endswith(", and go on with `sdar resume`")
    assert caught.value.exit_code == 1


def test_a_folder_of_others_is_the_users_to_open(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="as writing is not permitted there: make the folder writable"),
        disk(tmp_path, "the base"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("error", [KeyError("a"), FileNotFoundError(errno.ENOENT, "no"), RuntimeError("os error")])
def test_what_is_no_disks_fault_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    assert error_number(error) in (None, errno.ENOENT)
    with pytest.raises(type(error)) as caught, disk(tmp_path, "the base"):
        raise error
    assert caught.value is error


def test_a_file_system_without_locks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with RunLock(tmp_path):
        pass
    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(RunError, match=rf"the file system of {tmp_path} locks no files .*use a folder on another"):
        RunLock(tmp_path).acquire()
    assert RunLock(tmp_path).is_held(), "nobody can tell"
