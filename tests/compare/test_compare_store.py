"""A store of two thousand runs: what is opened does not grow with what was not asked for."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from compare_runs import make_run, make_study

from sdar_cli.cli.main import main

Opened = Callable[..., Counter[str]]

RUNS = 2000
TASKS = 48
STUDY = 24
_heard: list[str] | None = None


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _heard is not None and event == "open" and isinstance(arguments[0], str):
        _heard.append(arguments[0])


sys.addaudithook(_hear)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    template = make_run(root, "template", settings={"tracking.group": "rest"}, tasks=TASKS, started=2e6)
    text = (template.path / "run.json").read_text()
    for number in range(RUNS):
        folder = root / f"run-{number:04d}"
        folder.mkdir()
        (folder / "run.json").write_text(
            text.replace('"template"', f'"{folder.name}"').replace("2000000.0", "1000000.0")
        )
    for number in range(10):
        settings = {"tracking.group": "ten", "gate.beta": 1.0 + number // 2}
        make_run(root, f"ten-{number}", seed=number % 2, settings=settings, tasks=TASKS)
    for number in range(STUDY):
        cell, seed = divmod(number, 3)
        make_run(root, f"s-c{cell:03d}-s{seed}", seed=seed, settings={"gate.beta": 1.0 + cell}, tasks=TASKS)
    make_study(root, "s", [{"key": "gate.beta", "low": 1.0, "high": 8.0}], STUDY // 3, (0, 1, 2))
    return root


@pytest.fixture
def opened(store: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Counter[str]]:
    """Names of the files below the store that a comparison opened, with how often."""

    def run(*words: str) -> Counter[str]:
        global _heard
        _heard = []
        try:
            assert main(["compare", *words, "--runs", str(store), "--json"]) == 0
        finally:
            names, _heard = _heard, None
        assert json.loads(capsys.readouterr().out)["rows"]
        return Counter(name for name in names if name.startswith(str(store)))

    return run


@pytest.mark.parametrize("words", [("ten-0", "ten-1"), ("--study", "s")])
def test_named_runs_and_studies_open_their_own_files_alone(opened: Opened, words: tuple[str, ...]) -> None:
    found = opened(*words)
    assert not [name for name in found if "/run-" in name]
    assert max(count for name, count in found.items() if not name.endswith(".json")) == 1
    runs = 2 if words[0] == "ten-0" else STUDY
    assert len([name for name in found if name.endswith("run.json")]) == runs
    assert len(found) <= 12 * runs + 2
    assert sum(found.values()) <= len(found) + 5 * runs


@pytest.mark.parametrize("words", [("--group", "ten"), ("ten-9", "latest", "ten-8", "s-c007-s1")])
def test_the_store_is_read_once_at_most(opened: Opened, words: tuple[str, ...]) -> None:
    found = opened(*words)
    states = Counter({name: count for name, count in found.items() if name.endswith("/run.json")})
    assert len(states) >= RUNS and max(states.values()) <= 2
    assert not [name for name in found if "/run-" in name and not name.endswith("/run.json")]
