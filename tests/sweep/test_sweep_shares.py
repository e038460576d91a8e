"""What each run of a study gets of a machine: one GPU in turn, and never the processes of all of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.sweep import shares
from sdar_cli.sweep.runner import Job, sdar_command


@pytest.fixture
def eight_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdar_cli.launch.agent._gpus", lambda: 8)


@pytest.mark.parametrize(
    ("visible", "gpus"), [("0,1,2", ["0", "1", "2", "0"]), ("5, 7", ["5", "7", "5", "7"]), ("3", [None] * 4)]
)
def test_runs_take_turns_on_the_visible_gpus(monkeypatch: pytest.MonkeyPatch, visible: str, gpus: list) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [shares.gpu_of(place) for place in range(4)] == gpus


@pytest.mark.parametrize("visible", ["", "-1"])
def test_there_may_be_no_gpu(monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert shares.gpu_of(0) is None


def test_a_containers_gpus_are_those_in_its_dev(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(shares, "DEVICES", tmp_path)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert shares.visible_gpus() == ["0", "1"]


@pytest.mark.parametrize("recipe", ["quickstart", None])
def test_a_run_is_one_process_where_a_person_would_get_eight(
    monkeypatch: pytest.MonkeyPatch, eight_gpus: None, tmp_path: Path, recipe: str | None
) -> None:
    """The command that a worker starts, parsed: its launcher is asked for one process, and none is started."""
    seen = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    monkeypatch.setattr("sdar_cli.launch.agent.start", lambda words: seen.append(words) or 0)
    monkeypatch.setattr("sdar_cli.launch.agent.is_needed", lambda launch, nproc: seen.append(nproc) or True)
    job = Job("cell-1", tmp_path / "cell-1", tmp_path / "log", lambda: Path("unused"))
    words = sdar_command(job, None if recipe is None else Path(recipe))
    if recipe is None:
        _make_run(tmp_path, "cell-1")
    assert main(words[words.index("sdar_cli.cli.main") + 1 :]) == 0
    assert seen[0] == 1 and os.environ["CUDA_VISIBLE_DEVICES"] == "6"


def _make_run(root: Path, name: str) -> None:
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.runs.store import RunFolder

    RunFolder.create(root, load_recipe("quickstart"), name)
