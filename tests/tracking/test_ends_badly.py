"""How MLflow hears of the end of a run whose own disk says no, and of a run that it made meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.tracking import tracker as tracker_module
from sdar_cli.tracking.outbox import Spooled
from sdar_cli.tracking.tracker import Tracker
from sdar_cli.training import tracked

RUN = "ab" * 16


def of(folder: Path) -> Tracker:
    outbox = Spooled(folder / "tracking", "http://127.0.0.1:9", "", print, home=folder)
    return Tracker(None, "http://127.0.0.1:9", "", print, outbox, folder)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOSPC])
def test_the_disk_does_not_hide_why_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    tracker = of(tmp_path)
    monkeypatch.setattr(tracked, "_start", lambda *args: tracker)

    def refused(descriptor: int, data: bytes, start: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", refused)
    with pytest.raises(RunFailed, match="the weights melted"), tracked.tracking(None, None, tmp_path, None):
        raise RunFailed("the weights melted")


def test_nor_does_a_note_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = of(tmp_path)
    monkeypatch.setattr(tracked, "_start", lambda *args: tracker)

    def refused(made: str) -> None:
        raise RunError("writing is not permitted there")

    tracker.on_made(refused)
    tracker._outbox._spool.name_run(RUN)
    with pytest.raises(RunFailed, match="the weights melted"), tracked.tracking(None, None, tmp_path, None):
        raise RunFailed("the weights melted")


def test_a_run_that_is_made_just_before_it_is_asked_for_is_noted(tmp_path: Path) -> None:
    """Between the note that there is none, and the wish to hear of it."""
    tracker, noted = of(tmp_path), []
    assert tracker.run_id == ""
    tracker._outbox._spool.name_run(RUN)
    tracker.on_made(noted.append)
    tracker.sync()
    tracker.sync()
    tracker.close(0.0)
    assert noted == [RUN]


def test_the_load_of_the_machine_ends_with_the_disk_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, puts = of(tmp_path), []
    monkeypatch.setattr(
        tracker_module, "SystemMonitor", lambda first, put: puts.append(put) or SimpleNamespace(start=lambda: None)
    )
    tracker._watch_system()

    def refused(descriptor: int, data: bytes, start: int) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refused)
        puts[0](0, {"system/cpu": 1.0})
    tracker.close(0.0)
