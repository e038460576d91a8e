"""What an evaluation measured is kept; when that fails, the first reason is the one that is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.record import record
from sdar_cli.recipe.load import load_recipe
from sdar_cli.tracking.tracker import Tracker


class Full:
    """A tracker on a disk that is full: ``finish`` says so too."""

    def evaluation(self, _: Any) -> NoReturn:
        raise ValueError("the reason")

    def finish(self, _: str) -> NoReturn:
        raise RunFailed("the disk is full")


def test_a_full_disk_does_not_hide_why_it_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Tracker, "start", lambda **_: Full())
    workshop: Any = SimpleNamespace(recipe=load_recipe("quickstart").recipe)
    target: Any = SimpleNamespace(name="a-model")
    listener: Any = SimpleNamespace(message=print)
    measured: Any = SimpleNamespace(name="trained-no_skills")
    with pytest.raises(ValueError, match="the reason"):
        record(target, None, "", workshop, [(measured, [])], measured, tmp_path, listener)
