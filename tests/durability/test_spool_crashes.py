"""What waits for MLflow, ended at every call of the system: whoever goes on puts down again what is missing, and the
store gets each write once or twice, and never not at all."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest
from crash_child import WAYS, crash

from sdar_cli.errors import RunFailed
from sdar_cli.tracking.late import Late
from sdar_cli.tracking.sender import Sender
from sdar_cli.tracking.spool import Spool
from sdar_cli.tracking.wire import Verdict
from sdar_cli.tracking.write import Write

RUN = "ab" * 16
MOST = 400
"""Calls; reached only where it never ends."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


class Store:
    """On a disk of its own, which no crash here touches."""

    def __init__(self, spool: Spool, file: Path) -> None:
        self.spool, self.file = spool, file

    def __call__(self, write: Write) -> None:
        if write.kind == "traces":
            what = f"traces {self.spool.read_traces(write)}"
        elif write.kind == "metrics":
            what = f"metrics {write.content['step']}"
        else:
            what = f"tag {write.content['value']}"
        note(self.file, what)


def note(file: Path, what: object) -> None:
    """On a disk that never breaks: by a call that is not counted."""
    with FileIO(file, "a") as opened:
        opened.write(f"{what}\n".encode())


def send(spool: Spool, store: Store, most: int = 99) -> None:
    sender = Sender(spool, store, lambda error: Verdict.FAILED, "store", lambda text: None, Late(spool))
    for _ in range(most):
        if sender.attempt() is None:
            break


def work(folder: Path, store: Path, checkpoint: Path) -> None:
    """Two steps with their episodes, a checkpoint behind each, sent in parts, with the run's name in between."""
    spool = Spool(folder / "tracking", "")
    for step in (1, 2):
        spool.metrics(step, {"loss": 0.5})
        spool.traces(f"traces/{step}", [step])
        spool.sync()
        note(checkpoint, step)
        spool.name_run(RUN)
        send(spool, Store(spool, store), step)
    spool._done = 2**30
    spool.sync()
    spool.put("tag", {"key": "a", "value": "end"}, key="tag/a")
    spool.close()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_behind_a_checkpoint_is_gone(place: Path, way: str) -> None:
    for at in itertools.count(1):
        root, store, checkpoint = (place / f"{name}-{at}" for name in ("root", "store", "checkpoint"))
        root.mkdir()
        store.touch()
        checkpoint.touch()
        done = crash(lambda: work(root, store, checkpoint), at, way, root)  # noqa: B023
        saved = [int(line) for line in checkpoint.read_text().split()]
        spool = Spool(root / "tracking", RUN)
        for step in range(len(saved) + 1, 3):  # what was behind the checkpoint is played again
            spool.metrics(step, {"loss": 0.5})
            spool.traces(f"traces/{step}", [step])
        spool.put("tag", {"key": "a", "value": "end"}, key="tag/a")
        send(spool, Store(spool, store))
        # Sent once more, episodes that are there already have no file.
        arrived = {line for line in store.read_text().splitlines() if line != "traces []"}
        wanted = ["metrics 1", "traces [1]", "metrics 2", "traces [2]", "tag end"]
        assert sorted(arrived) == sorted(wanted), f"{way} at call {at}, step {saved} saved"
        assert spool.waiting == 0 and spool.close() == 0
        shutil.rmtree(root)
        if done:
            break
        assert at < MOST
    assert at > 20, "the calls are not counted"


def test_a_full_disk_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(place / "tracking", RUN)

    def full(descriptor: int, data: bytes, start: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RunFailed, match="the disk is full"):
        spool.traces("traces/1", [1])
    assert not list((place / "tracking" / "traces").iterdir()), "no half of it takes room"
