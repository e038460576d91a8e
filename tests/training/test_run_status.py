"""What is written down of a run that did not end well: the sentence that ended it, whatever happens then."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from said_lines import Lines

from sdar_cli.errors import RunFailed
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.run import _status


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", load_recipe("quickstart"), "failing")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), "interrupted", None),
        (RunFailed("it broke: mend it"), "failed", "it broke: mend it"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
        (ValueError("http://lee:secret@host is away"), "failed", "ValueError: http://***@host is away"),
        (ValueError("GET http://host/?token=secret failed"), "failed", "ValueError: GET http://host/?token=*** failed"),
    ],
    ids=["Ctrl-C", "a sentence", "a bug", "a password", "a token"],
)
def test_how_it_ended_is_kept_without_passwords(
    run: RunFolder, error: BaseException, status: str, says: str | None
) -> None:
    with pytest.raises(type(error)), _status(run, Lines()):
        raise error
    assert (run.state.status, run.state.error) == (status, says) and run.state.ended is not None
    assert "secret" not in (run.path / "run.json").read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunFailed("it broke: mend it"), ZeroDivisionError("by zero")])
def test_a_full_disk_then_does_not_hide_it(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def full(*words: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    display = Lines()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(type(error)) as caught, _status(run, display):
        raise error
    assert caught.value is error and run.state.status == "created"
    assert display.lines[0].startswith(f"{run.path / 'run.json'} still has its old status (run.json cannot be written")
