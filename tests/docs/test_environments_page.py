"""docs/environments.md: the environment that it builds is small, sound, trains and is evaluated by its own commands."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from markdown_blocks import Block, blocks

from sdar_cli.cli.main import main
from sdar_cli.environments import build_environment, environment_names
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.recipe.schema import EnvironmentSection
from sdar_cli.runs.store import RunFolder
from sdar_envs import BUILTIN
from sdar_envs.base import Environment, Invalid

PAGE = Path(__file__).resolve().parents[2] / "docs" / "environments.md"
BLOCKS = blocks(PAGE)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the page's files."""
    for block in BLOCKS:
        if block.directive and block.directive.startswith("file:"):
            (tmp_path / block.directive.removeprefix("file:").strip()).write_text(block.text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDAR_RUNS", str(tmp_path / "runs"))
    return tmp_path


@pytest.fixture
def lockers(here: Path) -> Environment:
    return build_environment(EnvironmentSection(name="lockers.py:Lockers"))


def file_block(name: str) -> Block:
    (block,) = [block for block in BLOCKS if block.directive == f"file: {name}"]
    return block


def test_it_is_one_file_of_less_than_60_lines() -> None:
    assert len(file_block("lockers.py").text.splitlines()) < 60


def test_its_splits_are_disjoint_and_its_expert_wins_every_task(lockers: Environment) -> None:
    train, test = lockers.tasks("train"), lockers.tasks("test")
    assert len(test) == 24 and not {task.id for task in train} & {task.id for task in test}
    for task in (*train, *test):
        lockers.reset(task)
        *before, last = [lockers.step(action) for action in lockers.expert(task)]
        assert not any(step.done for step in before) and (last.done, last.won, last.reward) == (True, True, 10.0)
        assert lockers.parse(lockers.format_response(lockers.expert(task)[0])).text == lockers.expert(task)[0]


def test_it_keeps_the_promises_of_an_environment(lockers: Environment) -> None:
    for task in lockers.tasks("test"):
        first = lockers.reset(task)
        for action in ("", "open locker", "take gold key", "take red", "<action>", "take red key x"):
            step = lockers.step(action)
            assert not step.done and set(first.admissible) == set(step.observation.admissible)
        wrong = next(key for key in ("red", "blue") if key != task.data["key"])
        lockers.step(f"take {wrong} key")
        step = lockers.step("open locker")
        assert (step.done, step.won, step.reward) == (not lockers.options.spare, False, 0.0)
        assert lockers.reset(task) == first
    assert isinstance(lockers.parse("open locker"), Invalid)


def test_the_option_of_its_own_changes_the_game(here: Path) -> None:
    spare = build_environment(EnvironmentSection(name="lockers.py:Lockers", options={"spare": True}))
    task = spare.tasks("test")[0]
    spare.reset(task)
    wrong = next(key for key in ("red", "blue") if key != task.data["key"])
    assert not [spare.step(f"take {wrong} key"), spare.step("open locker")][-1].done
    assert [spare.step(action) for action in spare.expert(task)][-1].won


@pytest.mark.train
@pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_its_training_and_evaluation_run_as_the_page_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdar_cli.tracking.plots.write_plots", lambda rows, folder: [])
    monkeypatch.setenv("COLUMNS", "80")
    consoles = [block for block in BLOCKS if block.language == "console"]
    commands = [pair for block in consoles for pair in block.commands if pair[0].startswith("sdar ")]
    assert [words[0].split()[1] for words in commands] == ["play", "skills", "panel", "train", "eval", "play"]
    for command, shown in commands:
        name, *words = shlex.split(command)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main(words)
        assert (name, status) == ("sdar", 0), f"{command}\n{out.getvalue()}{err.getvalue()}"
        lines = iter(line.rstrip() for line in out.getvalue().splitlines())
        for line in shown:
            assert line in ("", "...") or line in lines, f"{command}\nnot in the output: {line!r}\n{out.getvalue()}"
    run = RunFolder.open(here / "runs" / "first")
    assert Panel.load(run.panel_file).digest == Panel.load(here / "lockers.json").digest
    report = json.loads((run.path / "evaluations" / "report.json").read_text())
    assert [cell["label"] for cell in report["cells"]] == ["base", "trained"] and report["tasks"] == 24
    with_skills = Evaluation.load(run.evaluations()["trained-step-12-skills"])
    assert {record.task_type: record.skills for record in with_skills.records} == {
        "metal": ("metal",),
        "wood": ("wood",),
    }


def test_the_table_names_every_environment() -> None:
    table = PAGE.read_text().split("\n\n")[1].splitlines()
    columns = [cell.strip() for cell in table[0].strip("|").split("|")]
    assert [name.strip("`") for name in columns[1:-1]] == list(BUILTIN)
    assert set(BUILTIN) <= set(environment_names())
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:]]
    rows = {row[0]: row[1:-1] for row in cells}
    assert all(len(row) == len(columns) for row in cells)
    for place, name in enumerate(BUILTIN):
        module, _, attribute = BUILTIN[name].partition(":")
        environment = getattr(pytest.importorskip(module), attribute)
        assert rows["isolation"][place] == environment.isolation
        for split in environment.splits:
            assert f"`{split}`" in rows["splits"][place]
        for option in re.findall(r"`(\w+)`", rows["options that matter"][place]):
            assert option in environment.Options.model_fields, (name, option)
